// Asked and done: the mark a cell carries after a run, its words, and the key under the grid.

// "done", "lowered", "partly", "differ" or null. A cell painted differently since then says nothing
// about the run any more, so its mark goes, and returns if the paint is taken back.
function markOf(target, i) {
  if (!live) return null;
  const mark = ran[target][i];
  if (mark === undefined || mark === UNKNOWN) return null;
  if (mark === PARTLY) return live.policy && !ranView() ? null : "partly";
  if (ranView()) return mark === REFUSED ? "differ" : mark !== COVERED && mark & LOWERED ? "lowered" : null;
  if (live.policy) return null;  // it did not run by the paint
  const expected = expectedOf(target, i);
  if (expected === null) return null;
  if (mark === expected) return "done";
  return mark === (expected | LOWERED) && mark !== REFUSED ? "lowered" : "differ";
}

// What the run should have done here, in its own numbers, if the page still asks for the same.
function expectedOf(target, i) {
  const want = asked[target][i];
  if (target === "cells") {
    const cover = coverOf(asked.steps, i, model, live.legends.steps);
    const now = coverOf(planes.steps, i, model);
    if (cover || now) return cover && live.now.steps[cover] === now ? COVERED : null;
  }
  return live.now[target][want] === planes[target][i] ? want : null;
}

const nodeOf = (target, i) => target === "steps" ? stepNodes[i] : cellNodes[i];

function drawMark(target, i) {
  const node = nodeOf(target, i), mark = markOf(target, i);
  if (!node) return;
  if (mark) {
    if (node.dataset.ran !== mark) node.dataset.ran = mark;
  } else if (node.dataset.ran) delete node.dataset.ran;
}

function drawMarks() {
  for (let i = 0; i < cellNodes.length; i++) drawMark("cells", i);
  for (let s = 0; s < stepNodes.length; s++) drawMark("steps", s);
  drawKey();
}

function ranText(target, i) {
  const mark = ran[target][i];
  if (mark === REFUSED) return "something else";
  if (mark === COVERED) {
    const brush = ranBrush("steps", ran.steps[i % model.S] & ~LOWERED);
    return brush ? `nothing, the step did ${brush.label.toLowerCase()}` : "nothing";
  }
  if (mark === PARTLY) return "computed for some pictures only";
  const brush = ranBrush(target, mark & ~LOWERED);
  return (brush ? brush.label.toLowerCase() : "?") + (mark & LOWERED ? " at a lower order" : "");
}

function markLabel(target, i) {
  const mark = markOf(target, i);
  if (ranView() && ran[target][i] !== UNKNOWN) return `, ran ${ranText(target, i)}`;
  return mark === "differ" ? `, but ran ${ranText(target, i)}`
    : mark === "lowered" ? ", executed at a lower order" : mark === "partly" ? ", computed for some pictures only"
    : mark === "done" ? ", executed" : "";
}

// The lines of a tooltip that compare what was asked for with what ran.
function markLines(target, i, line) {
  if (target === "cells" && planes.locks[i]) line("Locked: nothing changes it. Shift + L unlocks.", "cb-soft");
  if (ranView()) {
    const mark = ran[target][i];
    if (mark === UNKNOWN) line("Has not run yet.", "cb-soft");
    else if (mark & LOWERED || !shownBrush(target, i)) line(`Ran: ${ranText(target, i)}.`);
    return;
  }
  const mark = markOf(target, i);
  if (mark === "done") line("Ran as painted.", "cb-soft");
  else if (mark === "lowered") line("↓ ran at a lower order: too little history was stored.", "cb-warn");
  else if (mark === "partly") line("~ computed for some pictures of the batch only.", "cb-warn");
  else if (mark === "differ") {
    const want = live.legends[target][asked[target][i]];
    line(`≠ requested ${want.label.toLowerCase()}, executed ${ranText(target, i)}`, "cb-warn");
  }
}

// What the marks on show mean; one that does not occur is not explained.
const MARK_KEY = [
  ["lowered", "↓", "ran at a lower order: too little history"],
  ["partly", "~", "computed for some pictures only"],
  ["differ", "≠", "ran otherwise than painted"],
];

function drawKey() {
  if (!nodes.key) return;
  const found = MARK_KEY.filter(([mark]) => nodes.table.querySelector(`[data-ran="${mark}"]`));
  const covered = nodes.table.querySelector(".cb-cell.cb-covered");
  nodes.key.replaceChildren(...found.map(([mark, sign, text]) => make("span", "cb-key-entry", {},
    make("i", "cb-key-mark", {"data-ran": mark, "aria-hidden": "true"}, sign), text)),
    ...(covered ? [make("span", "cb-key-entry", {},
      make("i", "cb-key-mark cb-covered", {"aria-hidden": "true"}), "not run: an action of the whole step")] : []));
  nodes.key.hidden = !nodes.key.childElementCount;
}

// Whether everything that ran is painted, as it is after baking.
function planIsRan() {
  for (const target of ["cells", "steps"])
    for (let i = 0; i < ran[target].length; i++) {
      const mark = ran[target][i];
      const same = mark === COVERED ? coverOf(planes.steps, i, model) > 0
        : mark < PARTLY || mark > LOWERED && mark < UNKNOWN
          ? live.now[target][mark & ~LOWERED] === planes[target][i] : false;
      if (!same) return false;
    }
  return true;
}

// A policy's decisions in words, below the grid: nothing above it comes and goes.
function showDecided() {
  const on = live && live.policy && liveLength > 0 && !(live.done && planIsRan());
  nodes.decided.hidden = !on;
  if (!on) return;
  const steps = Math.floor(liveLength / model.rows);
  let whole = 0, cells = 0;
  for (let s = 0; s < steps; s++) {
    const decision = decisionText(s);
    if (decision === "reused") whole++;
    else if (decision === "stood in for") cells++;
  }
  const saved = whole + cells;
  nodes.decided.textContent = `${live.policy} ${live.done ? "decided" : "is deciding"}: ` +
    `${saved} of ${counted(steps, "step")} not computed. ` +
    (live.done ? (store.view === "ran" ? "You see what ran; Plan shows what is painted, and Bake makes paint of it."
      : "Ran shows it; Bake makes paint of it.") : "");
}

function sayRunEnd() {
  const total = live.ms.reduce((sum, ms) => sum + ms, 0), time = total ? ` in ${total.toFixed(0)} ms` : "";
  if (live.policy) return say(`Run finished${time}: ${live.policy} decided every step.`);
  let differ = 0, lowered = 0;
  for (const target of ["cells", "steps"])
    for (let i = 0; i < ran[target].length; i++) {
      const cover = target === "cells" && coverOf(asked.steps, i, model, live.legends.steps);
      const mark = ran[target][i], want = cover ? COVERED : asked[target][i];
      if (mark === UNKNOWN || mark === want) continue;
      if (mark === (want | LOWERED) && mark !== REFUSED) lowered++; else differ++;
    }
  const parts = [
    ...(differ ? [`${counted(differ, "cell")} did not run as painted (marked ≠)`] : []),
    ...(lowered ? [`${counted(lowered, "cell")} ran at a lower order (marked ↓)`] : []),
  ];
  say(`Run finished${time}: ${parts.length ? parts.join(", ") : "every cell ran as painted"}.`);
}
