// The readouts above the grid; they follow the pointer while a stroke is being drawn.
const READOUTS = [
  ["work", "Work computed"], ["speedup", "Predicted speed-up"],
  ["drift", "Predicted drift"], ["cells", "Cells not computed"], ["psnr", "Predicted PSNR"],
];
let predicted = null, expected = null, readoutFrame = 0;

function buildReadouts() {
  nodes.readouts.replaceChildren();
  nodes.readout = {};
  for (const [name, label] of READOUTS) {
    const value = make("span", "cb-value"), note = make("span", "cb-note");
    const title = make("span", "cb-label", {}, label);
    const tile = make("button", "cb-readout", {
      type: "button", "data-testid": "readout-" + name, "aria-describedby": `${uid}-${name}`,
    }, title, " ", value, " ", note);
    const hidden = make("span", "cb-hidden", {id: `${uid}-${name}`});
    const open = () => {
      const at = tile.getBoundingClientRect();
      showTip(box => fillReadoutTip(box, label, name), at.left, at.bottom - 12);
    };
    tile.addEventListener("pointerenter", open);
    tile.addEventListener("focus", open);
    tile.addEventListener("click", open);
    tile.addEventListener("pointerleave", hideTip);
    tile.addEventListener("blur", hideTip);
    nodes.readouts.append(tile, hidden);
    nodes.readout[name] = {tile, title, label, value, note, hidden};
  }
}

function fillReadoutTip(box, label, name) {
  const shown = shownSchedule();
  const [first, ...rest] = allTexts(shown)[name].tip;
  box.append(make("strong", "", {}, label), make("div", "cb-formula", {}, first),
    ...rest.map(line => make("div", "", {}, line)));
}

// The schedule the cells show: what is painted or, in the view "ran", what ran so far.
function shownSchedule() {
  if (!ranView()) return {planes, model};
  const known = target => ran[target].map(mark => mark >= PARTLY && mark <= LOWERED || mark >= UNKNOWN
    ? COMPUTE : mark & ~LOWERED);
  const legends = {};
  for (const target of ["cells", "steps"])
    legends[target] = live.legends[target].map((_, k) => ranBrush(target, k));
  return {planes: {cells: known("cells"), steps: known("steps")}, model: {...model, legends}};
}

function allTexts(shown) {
  return {...readoutTexts(predicted, shown.planes, shown.model), psnr: psnrText()};
}

// Worked out here for what is on show, or while the calibration is still on its way the server's
// number, which is of the schedule before the stroke in hand.
function psnrText() {
  const known = expected || (store.value && store.value.expected);
  if (!known) return {value: "–", note: "", tip: ["Nothing was calibrated for this setting."]};
  if (known.unknown) return {
    value: "–", note: "not calibrated",
    tip: ["The calibration knows Reuse and Taylor forecasts alone.",
      `It can say nothing of ${someOf(known.unknown)}.`],
  };
  const old = !expected &&
    (store.pending.length || store.value.late || typed || (stroke && stroke.touched) || ranView());
  const of = "PSNR against the full run of the same seed to expect, ", source = `Learned from ${known.source}.`;
  if (known.db === null)
    return {value: "equal", note: "", old, tip: [of + "in the mean over pictures.", source, "Nothing is cached."]};
  const span = (low, high) => `${low.toFixed(0)}–${high.toFixed(0)}`, mean = span(known.low_db, known.high_db);
  if (known.here && known.here.runs) return {old, ...pictureText(known, mean, of, source, span)};
  const one = known.here && atPicture({db: known.db, low: known.low_db}, known.here);
  return {
    value: `${known.db.toFixed(1)} dB`, note: old ? "on release" : mean, old,
    tip: [of + "in the mean over pictures.", source,
      `For four schedules in five that mean lies within ${mean} dB.`,
      ...(one ? [`A single picture varies more: four in five within ${span(one.low, one.high)} dB.`] : [])],
  };
}

// The same for this picture, once runs have shown how far it lies from the mean.
function pictureText({db, low_db, here}, mean, of, source, span) {
  const at = atPicture({db, low: low_db}, here), range = span(at.low, at.high);
  return {
    value: `${at.db.toFixed(1)} dB`, note: range, label: "Predicted PSNR here",
    tip: [
      of + "for this picture.",
      `Predicted ${at.db.toFixed(1)} dB for this picture, ±${at.half.toFixed(1)}, from ${counted(here.runs, "run")} ` +
        `of it; mean over pictures ${db.toFixed(1)} dB (${mean}).`,
      `= ${db.toFixed(1)} ${here.level_db < 0 ? "−" : "+"} ${Math.abs(here.level_db).toFixed(1)} dB: how far this ` +
        "picture's runs came out from their predictions, drawn towards 0 where these are few.",
      source, `For four schedules in five this picture lies within ${range} dB.`,
    ],
  };
}

// As the server's `expected`, or null without a calibration at hand.
function expectHere(shown) {
  const q = knownQuality();
  if (!q) return null;
  const found = expectPsnr(q, shown.planes, shown.model);
  if (found.unknown) return found;
  const told = store.value && store.value.expected;  // its level is of the picture, not of the cells
  return {
    db: found.equal ? null : found.db, low_db: found.low, high_db: found.high, source: q.source,
    here: told && told.here || null,
  };
}

// At most once a frame. A full recomputation of 56 x 50 cells takes well under a millisecond, so
// there is no incremental sum that could go wrong.
function refreshReadouts() {
  if (!readoutFrame) readoutFrame = requestAnimationFrame(drawReadouts);
}

function drawReadouts() {
  cancelAnimationFrame(readoutFrame);
  readoutFrame = 0;
  const shown = shownSchedule();
  predicted = predict(shown.planes, shown.model);
  expected = expectHere(shown);
  staleEffects();
  const texts = allTexts(shown);
  for (const [name] of READOUTS) {
    const at = nodes.readout[name], text = texts[name];
    if (at.value.textContent !== text.value) at.value.textContent = text.value;
    if (at.note.textContent !== text.note) at.note.textContent = text.note;
    const label = text.label || at.label;
    if (at.title.textContent !== label) at.title.textContent = label;
    at.tile.classList.toggle("cb-old", !!text.old);
    const tip = stroke ? at.hidden.textContent : text.tip.join(" ");
    if (at.hidden.textContent !== tip) at.hidden.textContent = tip;
  }
}
