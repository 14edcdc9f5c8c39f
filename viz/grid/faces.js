// What a cell looks like: its brush; or that a whole-step action leaves it out, because what is
// painted is what will run; or, in the view "ran", what the last run really did there.
let shown = {cells: new Uint16Array(0), steps: new Uint16Array(0)};
const NOTHING = 65535;

const ranView = () => store.view === "ran" && live !== null;

// A number that changes exactly when the face does, so that most cells are not touched.
function faceId(target, i) {
  if (ranView()) {
    if (target === "steps") return 4096 + ran.steps[i];
    const mark = ran.cells[i];
    return 4096 + mark + (mark === COVERED ? 256 * (ran.steps[i % model.S] & ~LOWERED & 31) : 0);
  }
  return target === "steps" ? planes.steps[i] : planes.cells[i] + 64 * coverOf(planes.steps, i, model);
}

// {cls, letter, a}: classes of the look, the letter on it, and the action's number.
function faceOf(target, i) {
  if (ranView()) return ranFace(target, i);
  const a = planes[target][i], cover = target === "cells" ? coverOf(planes.steps, i, model) : 0;
  if (cover) return {cls: coverLook(actionIs(cover)), letter: "", a, cover};
  const brush = legendOf(target)[a];
  return {cls: lookOf(brush, target), letter: letterOf(brush), a};
}

const coverLook = brush => "cb-covered" + (brush.hue === null || brush.hue === undefined ? ""
  : ` cb-hue cb-hue-${brush.hue}`);

function ranFace(target, i) {
  const mark = ran[target][i];
  if (mark === UNKNOWN || mark === REFUSED) return {cls: "cb-look-unknown", letter: "", a: null};
  if (mark === PARTLY) return {cls: "cb-look-partly", letter: "", a: null};
  if (mark === COVERED) {
    const brush = ranBrush("steps", ran.steps[i % model.S] & ~LOWERED);
    return {cls: brush ? coverLook(brush) : "cb-covered", letter: "", a: null, cover: 1};
  }
  const brush = ranBrush(target, mark & ~LOWERED);
  return brush ? {cls: lookOf(brush, target), letter: letterOf(brush), a: null}
    : {cls: "cb-look-unknown", letter: "", a: null};
}

function wear(node, base, face) {
  node.className = base + " " + face.cls;
  if (face.a === null) delete node.dataset.a; else node.dataset.a = face.a;
  if (face.letter) node.dataset.l = face.letter; else delete node.dataset.l;
}

function drawCell(i) {
  const id = faceId("cells", i);
  if (shown.cells[i] === id) return false;
  shown.cells[i] = id;
  wear(cellNodes[i], "cb-cell", faceOf("cells", i));
  staleLabels.add(rowOf(i));
  drawMark("cells", i);
  return true;
}

// A step's own cell, and the column below it, which it may cover.
function drawStep(s) {
  for (let i = s; i < model.cells; i += model.S) drawCell(i);
  const node = stepNodes[s];
  if (!node) return;
  const id = faceId("steps", s);
  if (shown.steps[s] === id) return;
  shown.steps[s] = id;
  wear(node, "cb-whole", faceOf("steps", s));
  drawMark("steps", s);
  staleLabels.add(WHOLE);
}

function drawPlace(target, i) {
  if (target === "steps") return drawStep(i);
  if (target === "cells") return drawCell(i);
  staleLabels.add(rowOf(i));
  overlayLater();
}

function drawCells() {
  for (let s = 0; s < model.S; s++) drawStep(s);
  refreshReadouts();
  relabelLater();
}

// Everything anew: brushes or the view have changed.
function redraw() {
  shown.cells.fill(NOTHING);
  shown.steps.fill(NOTHING);
  drawCells();
}

// Colours that a legend brings along replace the fill of the look; anything else is left out.
function styleLegend() {
  if (!nodes.legendStyle) nodes.legendStyle = document.head.appendChild(
    make("style", "", {"data-cb-key": BAKED.key}));
  nodes.legendStyle.textContent = legendOf("cells").map((entry, k) =>
    entry.colour && CSS.supports("color", entry.colour)
      ? `#${uid} [data-a="${k}"]{--cb-fill:${entry.colour}}` : "").join("\n");
}

// Labels hold ages, so one cell changes those after it. They are not needed while a pointer moves.
let staleLabels = new Set();  // rows whose cells need new aria-labels; WHOLE is the step row
let labelTimer = 0;

function relabelLater() {
  clearTimeout(labelTimer);
  labelTimer = setTimeout(relabel, 120);
}

function relabel() {
  for (const row of staleLabels) {
    if (row === WHOLE) continue;
    for (let s = 0, i = row * model.S, age = 0; s < model.S; s++, i++) {
      const computed = planes.cells[i] === COMPUTE && !coverOf(planes.steps, i, model);
      age = computed || !s ? 0 : age + 1;
      cellNodes[i].setAttribute("aria-label", cellLabel(i, age));
    }
  }
  if (staleLabels.has(WHOLE))
    stepNodes.forEach((node, s) => node.setAttribute("aria-label", stepLabel(s)));
  staleLabels.clear();
  drawKey();
}

function cellLabel(i, age) {
  const row = rowOf(i), s = i % model.S, t = timestepText(s), cover = coverOf(planes.steps, i, model);
  return `block ${blockOf(row)}, ${longBranch(row)}, step ${s}${t && ", t " + t}: ` +
    brushIs(planes.cells[i]).label.toLowerCase() + (age ? `, age ${age}` : "") +
    (cover ? `, not run, the step does ${actionIs(cover).label.toLowerCase()}` : "") +
    (s === 0 || planes.locks[i] ? ", locked" : "") + markLabel("cells", i) + effectLabel(i);
}
