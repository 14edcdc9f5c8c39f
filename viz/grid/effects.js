// PSNR as the pointer moves and the view "Effect": what was packed for this setting, held here, and
// the worth of every cell, worked out while the page is idle, never in a frame of the pointer.
let quality = null;           // {key, raw, made}: as it came, and ready for the shape of the grid
let effects = null;           // the last finished job: {base, list, high}
let effectJob = null, effectTimer = 0;
const EFFECT_WAIT_MS = 60, LEVELS = BAKED.diverging.length;

const whenIdle = window.requestIdleCallback
  ? work => requestIdleCallback(work, {timeout: 400})
  : work => setTimeout(() => work({timeRemaining: () => 8}), 16);

// Tens of milliseconds to unpack, so it waits for a quiet moment.
function setQuality(raw) {
  if (!raw || !raw.key) {
    quality = null;
    return drawReadouts();
  }
  if (quality && quality.key === raw.key && quality.of === gridKey()) return;
  const mine = quality = {key: raw.key, raw: null, made: null, ready: false};
  const work = deadline => {
    if (quality !== mine) return;
    if (mine.of !== gridKey()) {
      mine.made = makeQuality(mine.raw, model);
      mine.of = gridKey();
      return whenIdle(work);
    }
    const runs = mine.made && mine.made.runs;
    if (runs) do growFactor(runs, 4); while (runs.factored < runs.N && deadline.timeRemaining() > 3);
    if (runs && runs.factored < runs.N) return whenIdle(work);
    mine.ready = true;
    drawReadouts();
  };
  const begin = data => {
    if (quality !== mine) return;
    mine.raw = data;
    whenIdle(work);
  };
  if (!raw.at) return begin(JSON.parse(JSON.stringify(raw)));
  fetch(BAKED.base + raw.at).then(answer => answer.json()).then(begin, () => {
    if (quality === mine) quality = null;  // asked for again with the next one that comes
  });
}

const gridKey = () => model.S + "," + model.L + "," + model.R;

// Ready for the grid as it is, or null.
const knownQuality = () => quality && quality.ready && quality.of === gridKey() ? quality.made : null;

// The view "Effect" --------------------------------------------------------------------------

// The schedule, the tables or the calibration have changed.
function staleEffects() {
  effectJob = null;
  clearTimeout(effectTimer);
  lookedAt = null;
  if (store.view !== "effect") return;
  effectTimer = setTimeout(startEffects, EFFECT_WAIT_MS);
}

function startEffects() {
  const base = makeBase(knownQuality(), {cells: planes.cells.slice(), steps: planes.steps.slice()}, model);
  const mine = effectJob = {base, list: [], high: 1, drawn: 0};
  const work = deadline => {
    if (effectJob !== mine || store.view !== "effect") return;
    do goOn(mine); while (mine.drawn < model.cells && deadline.timeRemaining() > 3);
    if (mine.drawn < model.cells) return whenIdle(work);
    effectJob = null;
    for (let row = 0; row < model.rows; row++) staleLabels.add(row);
    relabelLater();
  };
  whenIdle(work);
}

// Eight more cells: first all numbers, which the scale depends on, then all colours.
function goOn(job) {
  const {base, list} = job, end = Math.min(model.cells, list.length + 8);
  if (list.length < model.cells) {
    for (let i = list.length; i < end; i++) list.push(base && effectOf(base, i));
    if (list.length === model.cells) {
      const sizes = list.filter(Boolean).map(e => Math.abs(e.change)).sort((a, b) => a - b);
      job.high = sizes[Math.floor(0.97 * (sizes.length - 1))] || sizes[sizes.length - 1] || 1;
      job.over = sizes.length > 0 && sizes[sizes.length - 1] > job.high;
      effects = job;
      drawScale();
    }
    return;
  }
  for (let n = 0; n < 8 && job.drawn < model.cells; n++) drawEffect(job.drawn++);
}

function drawEffect(i) {
  const node = cellNodes[i], effect = effects.list[i];
  if (!effect) {
    node.style.removeProperty("--cb-e");
    node.style.removeProperty("--cb-e-ink");
    delete node.dataset.e;
    return;
  }
  const [colour, ink] = BAKED.diverging[effectLevel(effect)], text = shortEffect(effect.kind, effect.change, effects.high);
  node.style.setProperty("--cb-e", colour);
  node.style.setProperty("--cb-e-ink", ink);
  if (node.dataset.e !== text) node.dataset.e = text;
}

// Warm where toggling makes the picture worse, cold where it makes it better.
function effectLevel({kind, change}) {
  const better = kind === "psnr" ? change : -change;
  return clamp(Math.round((0.5 - better / (2 * effects.high)) * (LEVELS - 1)), 0, LEVELS - 1);
}

function drawEffectScale() {
  const base = effects && effects.base;
  if (!effects) return nodes.scale.append(make("span", "", {}, "Working it out …"));
  if (!base) return nodes.scale.append(make("span", "", {},
    "Nothing is calibrated or measured yet: run the full schedule once."));
  const psnr = base.kind === "psnr", name = psnr ? "PSNR" : "drift (proxy)";
  const end = x => signed(twoPlaces, inUnits(base.kind, x)) + (psnr ? x < 0 ? " dB" : "" : x > 0 ? " ‰" : "");
  const bar = make("span", "cb-ramp", {"aria-hidden": "true"}), high = psnr ? effects.high : -effects.high;
  const stops = BAKED.diverging.map(([colour]) => colour).filter((_, n) => n % 8 === 0);
  bar.style.background = `linear-gradient(90deg, ${stops.join()})`;
  const title = `What toggling each cell changes in the predicted ${name}: a computed cell is reused, ` +
    "a reused one computed. Warm is worse." + (effects.over ? " A few cells lie beyond the ends." : "");
  nodes.scale.append(make("span", "cb-scale-name", {title}, name),
    make("span", "cb-scale-range", {title}, end(high), bar, end(-high)));
}

// The accessible name's part, while the view is on and the numbers are of this paint.
function effectLabel(i) {
  if (store.view !== "effect" || !effects || effectJob) return "";
  const effect = effects.list[i];
  return effect ? `, ${togglingIt(effect.to)} ${effectWords(effect)}` : "";
}

// Looking at one cell needs no job.
let lookedAt = null;

function effectLines(i, line) {
  if (ranView() || stroke) return;
  lookedAt = lookedAt || {base: makeBase(knownQuality(), planes, model)};
  const {base} = lookedAt, effect = base && effectOf(base, i);
  if (!effect) return;
  const [first, ...formula] = effectTexts(effect, base);
  if (store.view !== "effect") return effect.kind === "psnr" ? line(first) : undefined;
  line(first, "cb-state");
  for (const text of formula) line(text, "cb-soft");
}
