// The step row: what each whole step does, above the grid on the same axis, with brushes of its own.
// Without any such brush it is slim and offers one. A policy's scores are drawn on it as bars.
let stepNodes = [];

const stepRowOpen = () => legendOf("steps").length > 1 || !!(live && (live.scored || live.whole));

function buildSteps() {
  const open = stepRowOpen();
  stepNodes = [];
  shown.steps = new Uint16Array(model.S).fill(NOTHING);
  const head = make("div", "cb-whole-label", {
    role: "rowheader", tabindex: -1, "aria-colindex": 1,
    "aria-label": open ? "whole steps, Space fills the row" : "whole steps",
  }, make("span", "cb-long", {}, "whole step"), make("span", "cb-short", {}, "all"));
  nodes.wholeHead = head;
  const row = make("div", "cb-row cb-steps" + (open ? "" : " cb-slim"), {
    role: "row", "aria-rowindex": 2, "data-testid": "step-row",
  }, head);
  if (open) for (let s = 0; s < model.S; s++) row.append(stepNode(s));
  else row.append(slimCell());
  if (nodes.steps) nodes.steps.replaceWith(row);
  nodes.steps = row;
  nodes.steps.dataset.open = open;
  return row;
}

function stepNode(s) {
  const node = make("div", "cb-whole", {
    role: "gridcell", tabindex: -1, "data-row": "whole", "data-step": s, "aria-colindex": s + 2,
  });
  node.append(make("i", "cb-score", {hidden: ""}));
  stepNodes.push(node);
  return node;
}

// What the row is for, and the way to its first brush.
function slimCell() {
  const add = make("button", "cb-slim-add", {type: "button", "aria-haspopup": "dialog", "aria-expanded": "false"},
    icon("plus"), "Action for whole steps");
  add.dataset.target = "steps";
  add.addEventListener("click", () => openForm("steps", null, add));
  return make("div", "cb-slim-cell", {role: "gridcell", "aria-colspan": model.S, "aria-colindex": 2}, add,
    make("span", "cb-slim-text", {}, "such as adding again what all blocks added before"));
}

// A row that should be open and is slim, or the other way round, is built anew.
function fitSteps() {
  if (!nodes.steps || nodes.steps.dataset.open === String(stepRowOpen())) return drawScores();
  const focused = nodes.steps.contains(document.activeElement);
  if (chosenIn === "steps") setSelection([], true);
  buildSteps();
  if (focusAt[0] === WHOLE) focusAt = [0, Math.max(1, focusAt[1])];
  markStop();
  for (let s = 0; s < model.S; s++) drawStep(s);
  drawScores();
  layout();
  staleLabels.add(WHOLE);
  relabelLater();
  if (focused && !form) nodeAt(...focusAt).focus({preventScroll: true});
}

// The tab stop of the table.
function markStop() {
  for (const node of nodes.table.querySelectorAll("[role][tabindex='0']")) node.tabIndex = -1;
  const stop = nodeAt(...focusAt);
  if (stop) stop.tabIndex = 0;
}

const stepFill = s => planes.steps[s];

// Bars of a policy's scores: the line is the limit, a bar that crosses it is a step that ran.
const BAR_TOP = 1.5;  // times the limit

function drawScores() {
  const scored = live && live.scored;
  nodes.steps.classList.toggle("cb-scored", !!scored);
  stepNodes.forEach((node, s) => {
    const bar = node.firstChild, at = scored ? live.decided[s] : null;
    const known = at && at[0] !== null && at[1] !== null;
    bar.hidden = !known;
    if (!known) return;
    const part = at[1] > 0 ? at[0] / at[1] : at[0] > 0 ? BAR_TOP : 0;
    bar.style.setProperty("--cb-part", clamp(part / BAR_TOP, 0.03, 1));
    bar.classList.toggle("cb-over", at[0] >= at[1]);
  });
}

// "score 0.031 < limit 0.05: reused", or "" where nothing was compared.
function scoreText(s) {
  const at = live && live.decided[s];
  if (!at || at[0] === null) return "";
  if (at[1] === null) return `score ${shortNumber(at[0])}`;
  const sign = at[0] < at[1] ? "<" : at[0] > at[1] ? ">" : "=";
  return `score ${shortNumber(at[0])} ${sign} limit ${shortNumber(at[1])}: ${decisionText(s)}`;
}

// The brush a place shows: painted or, in the view "ran", what ran; null where that is none.
function shownBrush(target, i) {
  if (!ranView()) return legendOf(target)[planes[target][i]];
  const mark = ran[target][i];
  return mark >= PARTLY && mark <= LOWERED || mark >= UNKNOWN ? null : ranBrush(target, mark & ~LOWERED) || null;
}

// What a policy made of the step, from what ran.
function decisionText(s) {
  if (ran.steps[s] === UNKNOWN) return "deciding";
  if (ran.steps[s]) return "reused";
  for (let i = s; i < model.cells; i += model.S) if (ran.cells[i]) return "stood in for";
  return "computed";
}

function stepLabel(s) {
  const t = timestepText(s), score = scoreText(s);
  return `whole step ${s}${t && ", t " + t}: ${actionIs(stepFill(s)).label.toLowerCase()}` +
    (s === 0 ? ", locked" : "") + (chosenIn === "steps" && selection.has(s) ? ", selected" : "") + markLabel("steps", s) + (score ? `, ${score}` : "");
}

function fillStepTip(box, s) {
  const line = (text, cls) => box.append(make("div", cls || "", {}, text));
  const t = timestepText(s), brush = shownBrush("steps", s), score = scoreText(s);
  box.append(make("strong", "", {}, `whole step ${s}${t && " · t " + t}`));
  if (!brush) return;
  box.append(make("div", "cb-state", {}, swatch(brush, "steps"), brush.label));
  const [first, stop] = brush.covers;
  if (stop > first) line(`Blocks ${first} to ${stop - 1} do not run.`, "cb-soft");
  else if (brush.name !== "run") line("The blocks run by the grid.", "cb-soft");
  if (score) line(score);
  markLines("steps", s, line);
}
