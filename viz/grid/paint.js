// Pointer painting: free strokes, boxes, whole rows and steps, erasing, edge scrolling, panning.
//
// A stroke paints on the screen at once and is sent when the pointer is released. It has one
// action for all its cells: the brush, or compute if the first cell had the brush already.
function listenToPointer() {
  const area = nodes.scroll;
  area.addEventListener("pointerdown", beginStroke);
  area.addEventListener("pointermove", onMove);
  area.addEventListener("pointerup", event => endStroke(event, true));
  area.addEventListener("pointercancel", event => endStroke(event, false));
  area.addEventListener("lostpointercapture", event => {
    if (!stroke || !stroke.fingers) endStroke(event, true);
  });
  area.addEventListener("pointerleave", leave);
  area.addEventListener("contextmenu", event => {
    // The right button erases. In Safari the target is what holds the pointer, around the table.
    if (stroke || event.target.closest(".cb-table")) event.preventDefault();
  });
  area.addEventListener("click", event => {  // a tap while panning looks at a cell
    if (store.tool !== "pan") return;
    const whole = event.target.closest(".cb-whole");
    originStale = true;
    if (whole) return hoverAt(WHOLE, Number(whole.dataset.step), event.clientX, event.clientY);
    if (event.target.closest(".cb-cell") === null) return;
    const [row, s] = cellFrom(event.clientX, event.clientY);
    hoverAt(row, s, event.clientX, event.clientY);
  });
  const moved = () => { originStale = true; };
  window.addEventListener("scroll", moved, {capture: true, passive: true});
  window.addEventListener("resize", moved, {passive: true});
  area.addEventListener("scroll", hideTip, {passive: true});
}

function beginStroke(event) {
  if (event.pointerType === "touch" && !event.isPrimary) return beginTwoFingers(event);
  if (!event.isPrimary || (event.button !== 0 && event.button !== 2)) return;
  if (stroke) return endStroke(event, false);  // a second button cancels, as in drawing programs
  if (event.target.closest(".cb-slim-cell")) return;
  if (store.tool === "pan") return beginPan(event);
  const step = event.target.closest(".cb-step"), label = event.target.closest(".cb-label-cell");
  const inSteps = nodes.steps.contains(event.target), allSteps = event.target.closest(".cb-whole-label");
  if (inSteps && !stepNodes.length) return;
  if (!step && !label && !inSteps && !nodes.rows.contains(event.target)) return;
  event.preventDefault();
  flushTyped();
  hideTip();
  endPeek();
  if (store.view === "ran") leaveRan();  // paint goes on the plan, so that is what is shown
  originStale = true;
  const at = cellFrom(event.clientX, event.clientY);
  if (step) at[1] = Number(step.dataset.step);
  const mode = allSteps ? "allSteps" : inSteps ? "whole" : step ? "steps" : label ? "rows"
    : store.tool === "box" || event.shiftKey ? "box" : "free";
  if (store.tool === "select") {
    beginSelect(event, at, mode === "box" ? "free" : mode);
    return moveFocus(inSteps ? WHOLE : mode === "steps" ? HEAD : at[0], mode === "rows" || allSteps ? -1 : at[1], true);
  }
  const target = inSteps ? "steps" : store.tool === "lock" ? "locks" : "cells";
  stroke = {
    id: event.pointerId, mode, target, start: at, last: at, base: planes[target].slice(),
    touched: new Set(), to: COMPUTE, refused: false, pan: null, pointer: event,
  };
  const erase = event.button === 2 || allHaveBrush(target, firstPlaces(mode, at));
  stroke.to = erase ? COMPUTE : brushOn(target);
  nodes.scroll.setPointerCapture(event.pointerId);
  setState("drawing", true);
  hold();
  extendStroke(at);
  refreshReadouts();
  const row = inSteps ? WHOLE : mode === "steps" ? HEAD : at[0];
  moveFocus(row, mode === "rows" || allSteps ? -1 : at[1], true);
}

// The places a stroke starts on: steps for the step row, else cells.
function firstPlaces(mode, [row, s]) {
  const {S, rows} = model;
  if (mode === "whole") return [s];
  if (mode === "allSteps") return Array.from({length: S - 1}, (_, k) => k + 1);
  if (mode === "rows") return Array.from({length: S - 1}, (_, k) => row * S + k + 1);
  if (mode === "steps") return Array.from({length: rows}, (_, r) => r * S + s);
  return [row * S + s];
}

const allHaveBrush = (target, list) =>
  list.length > 0 && list.every(i => planes[target][i] === brushOn(target));

function onMove(event) {
  const begun = performance.now();
  originStale = true;  // pictures may have arrived above; this early in a frame it costs nothing
  if (!stroke) return hover(event);
  if (stroke.fingers) return moveTwoFingers(event);
  if (event.pointerId !== stroke.id) return;
  // Let go where nothing told us, such as over a menu of the browser.
  if (event.pointerType === "mouse" && !event.buttons) return endStroke(event, true);
  if (stroke.pan) return movePan(event);
  stroke.pointer = event;
  const samples = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  for (const sample of samples.length ? samples : [event])
    extendStroke(cellFrom(sample.clientX, sample.clientY));
  drawReadouts();
  scrollAtEdge();
  stats.moves++;
  if (stats.moveMs.length < 5000) stats.moveMs.push(performance.now() - begun);
}

function hover(event) {
  if (event.pointerType === "touch") return;
  const step = event.target.closest(".cb-step"), label = event.target.closest(".cb-label-cell");
  const whole = event.target.closest(".cb-whole"), all = event.target.closest(".cb-whole-label");
  if (whole) hoverAt(WHOLE, Number(whole.dataset.step), event.clientX, event.clientY);
  else if (all && stepNodes.length) hoverAt(WHOLE, -1, event.clientX, event.clientY);
  else if (step) hoverAt(HEAD, Number(step.dataset.step), event.clientX, event.clientY);
  else if (label) hoverAt(Number(label.dataset.row), -1, event.clientX, event.clientY);
  else if (nodes.rows.contains(event.target)) hoverAt(...cellFrom(event.clientX, event.clientY), event.clientX, event.clientY);
  else leave();
}

function extendStroke(at) {
  const {start, mode} = stroke;
  if (stroke.select) return extendSelect(at);
  if (mode === "free") lineCells(stroke.last, at, touchCell);
  else if (mode === "whole") lineCells([0, stroke.last[1]], [0, at[1]], (_, s) => touch(s));
  else if (mode === "allSteps") for (let s = 1; s < model.S; s++) touch(s);
  else if (mode === "box") touchBox(start, at);
  else if (mode === "rows") touchBox([start[0], 0], [at[0], model.S - 1]);
  else touchBox([0, start[1]], [model.rows - 1, at[1]]);
  stroke.last = at;
}

function touchCell(row, s) {
  const first = store.grain === "step" ? 0 : store.grain === "block" ? blockOf(row) * model.R : row;
  const last = store.grain === "step" ? model.rows - 1 : store.grain === "block" ? first + model.R - 1 : row;
  for (let r = first; r <= last; r++) touch(r * model.S + s);
}

function touch(i) {
  const plane = planes[stroke.target];
  if (isLocked(stroke.target, i, stroke.to)) return refuse(stroke.target, i, stroke.to);
  stroke.touched.add(i);
  if (plane[i] === stroke.to) return;
  plane[i] = stroke.to;
  drawPlace(stroke.target, i);
}

// A box follows the pointer both ways, so cells it has left get back what they had.
function touchBox(one, other) {
  const before = stroke.touched;
  stroke.touched = new Set();
  for (const i of before) planes[stroke.target][i] = stroke.base[i];
  for (let row = Math.min(one[0], other[0]); row <= Math.max(one[0], other[0]); row++)
    for (let s = Math.min(one[1], other[1]); s <= Math.max(one[1], other[1]); s++)
      touchCell(row, s);
  for (const i of before) drawPlace(stroke.target, i);
}

// Never refuse silently: the message says why, and the locked column answers.
function refuse(target, i, to) {
  const held = !lockedFor(target, i, to, model);
  if (stroke) {
    if (held) stroke.held = (stroke.held || 0) + 1;
    if (stroke.refused) return;
    stroke.refused = held ? "held" : "first";
  }
  if (held) return say("Locked cells stay as they are; Shift + L unlocks.", "locked");
  say("Step 0 always computes: before it nothing is stored that could be reused.", "locked");
  setState("refused", false);
  void root.offsetWidth;  // lets the animation start again
  setState("refused", true);
}

function endStroke(event, keep) {
  if (!stroke || (event && event.pointerId !== stroke.id && !(stroke.fingers && event.pointerId in stroke.at))) return;
  if (keep && event.type === "pointerup") followTo(event);
  const done = stroke;
  stroke = null;
  if (done.pan || done.fingers) return putDown(done.id);
  if (done.select) {
    endSelect(done, keep);
    return putDown(done.id);
  }
  endPaint(done, keep);
  putDown(done.id);
}

// The pointer may have been let go somewhere else than its last move told.
function followTo(event) {
  if (stroke.pan || stroke.fingers) return;
  keepStill();
  originStale = true;
  const at = cellFrom(event.clientX, event.clientY);
  if (at[0] !== stroke.last[0] || at[1] !== stroke.last[1]) extendStroke(at);
}

function putDown(id = null) {
  setState("drawing", false);
  setState("panning", false);
  if (id !== null && nodes.scroll.hasPointerCapture(id)) nodes.scroll.releasePointerCapture(id);
  letGo();
}

// Sent first of all: what there is to draw and to say can wait for the time it is on its way.
function endPaint(done, keep) {
  const {target, base, to} = done, touched = [...done.touched].sort((a, b) => a - b);
  const changed = touched.filter(i => base[i] !== to).length;
  if (!keep || !changed) {
    for (const i of touched) { planes[target][i] = base[i]; drawPlace(target, i); }
    if (!keep) say("Stroke cancelled.");
    relabelLater();
    drawReadouts();
    return;
  }
  if (target === "locks") return sendLocks(touched.filter(i => base[i] !== to), to === 1);
  commit(target, touched, to);
  sayStroke(target, touched, changed, to, done.refused);
}

function sayStroke(target, touched, changed, to, refused) {
  drawReadouts();
  const numbers = predicted.work === null ? ""
    : ` Work ${percent(predicted.work)}, speed-up ${predicted.speedup.toFixed(2)}×.`;
  const under = target === "cells" ? touched.filter(i => coverOf(planes.steps, i, model)).length : 0;
  say(`${legendOf(target)[to].label}: ${counted(changed, target === "cells" ? "cell" : "step")}.` + numbers +
    (under ? ` ${counted(under, "cell")} of them will not run: a whole-step action covers them.` : "") +
    (refused === "held" ? " Locked cells kept." : refused ? " Step 0 stays computed." : ""), refused ? "locked" : "");
}

// Scrolling while painting near an edge, as long as the pointer stays there.
let edgeFrame = 0;

function scrollAtEdge() {
  if (edgeFrame) return;
  const speed = edgeSpeed();
  if (!speed) return;
  edgeFrame = requestAnimationFrame(() => {
    edgeFrame = 0;
    if (!stroke || stroke.pan) return;
    const area = nodes.scroll, left = area.scrollLeft, top = area.scrollTop;
    area.scrollLeft += speed[0];
    area.scrollTop += speed[1];
    if (area.scrollLeft === left && area.scrollTop === top) return;
    originStale = true;
    extendStroke(cellFrom(stroke.pointer.clientX, stroke.pointer.clientY));
    refreshReadouts();
    scrollAtEdge();
  });
}

function edgeSpeed() {
  const box = frameBox, margin = 20, by = 10;  // measured before this frame drew anything
  const {clientX: x, clientY: y} = stroke.pointer;
  const right = x > box.right - margin ? by
    : x < box.left + geometry.lab + margin && stroke.mode !== "rows" ? -by : 0;
  const down = y > box.bottom - margin ? by
    : y < box.top + geometry.head + geometry.whole + margin &&
      !["steps", "whole", "allSteps"].includes(stroke.mode) ? -by : 0;
  return right || down ? [right, down] : null;
}

// Panning with a mouse or pen; fingers pan natively through touch-action.
function beginPan(event) {
  if (event.pointerType === "touch" || event.button !== 0) return;
  const area = nodes.scroll;
  stroke = {id: event.pointerId, pan: {
    x: event.clientX, y: event.clientY, left: area.scrollLeft, top: area.scrollTop, page: scrollY,
  }};
  area.setPointerCapture(event.pointerId);
  setState("panning", true);
}

function movePan(event) {
  const from = stroke.pan;
  nodes.scroll.scrollLeft = from.left - (event.clientX - from.x);
  nodes.scroll.scrollTop = from.top - (event.clientY - from.y);
}

// Two fingers scroll, whatever the tool: the stroke that the first one began is dropped.
function beginTwoFingers(event) {
  if (store.tool === "pan" || !stroke || stroke.pan) return;
  const {id, pointer} = stroke;
  endStroke(null, false);
  stroke = {id: null, fingers: true, pan: null,
    at: {[id]: [pointer.clientX, pointer.clientY], [event.pointerId]: [event.clientX, event.clientY]}};
  setState("drawing", true);
  say("Two fingers scroll.");
}

function moveTwoFingers(event) {
  const from = stroke.at[event.pointerId];
  if (!from) return;
  // Each finger moves half of the way, so that both together move it all.
  const right = (from[0] - event.clientX) / 2, down = (from[1] - event.clientY) / 2, area = nodes.scroll;
  const top = area.scrollTop;
  area.scrollLeft += right;
  area.scrollTop += down;
  if (area.scrollTop === top) scrollBy(0, down);  // the grid has no further to go: the page has
  stroke.at[event.pointerId] = [event.clientX, event.clientY];
  originStale = true;
}
