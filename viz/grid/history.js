// Going back and looking aside: the named history, the previous schedule at a key, pins A and B,
// and marks on the cells in which two schedules differ.
let peek = null;        // "previous", "A" or "B" while that one is shown instead of the present one
let diffOf = "none";    // what cells are marked for: "previous", "A", "B" or "AB"
let present = null;     // the present planes, also while another schedule is shown
let historyBox = null;  // the panel while it is open

const DIFFS = [["none", "None"], ["previous", "Previous"], ["A", "A"], ["B", "B"], ["AB", "A and B"]];

// A schedule to compare with as planes in the page's own brushes, with numbers past the legend for
// those the page has not; null if there is none of this shape.
function otherAt(at) {
  const other = store.value && store.value.others && store.value.others[at];
  return other && other.rows ? other : null;
}

function otherPlanes(at) {
  const {rows, steps, keys} = otherAt(at), all = DIGITS.length;
  const found = {cells: parseRows(rows, model, all), steps: parseSteps(steps, model, all)};
  if (!found.cells || !found.steps) return null;
  for (const target of ["cells", "steps"]) {
    const own = [0, ...keys[target].map((key, n) => {
      const k = legendOf(target).findIndex(brush => brush.key === key);
      return k < 0 ? 100 + n : k;
    })];
    found[target] = found[target].map(k => own[k]);
  }
  return found;
}

// What is on the screen for a schedule with brushes of its own: those the page lacks look like 1.
function shownOther(at) {
  const found = otherPlanes(at);
  if (!found) return null;
  const size = {cells: legendOf("cells").length, steps: legendOf("steps").length};
  for (const target of ["cells", "steps"]) found[target] = found[target].map(k => k < size[target] ? k : size[target] > 1 ? 1 : 0);
  return {...found, locks: planes.locks};
}

function startPeek(at) {
  if (peek === at || stroke) return;
  if (!otherAt(at)) return say(at === "previous" ? "There is no schedule before this one." : `Nothing is pinned as ${at}.`);
  flushTyped();
  peek = at;
  root.dataset.peek = at;
  recompose();
  const name = at === "previous" ? "Before" : at;
  say(`${name}: ${otherAt(at).what}. ${counted(countDiff(at), "cell")} ${countDiff(at) === 1 ? "differs" : "differ"} from now.`);
  syncHistoryBox();
  push({op: "peek", at});
}

function endPeek() {
  if (!peek) return;
  peek = null;
  delete root.dataset.peek;
  recompose();
  syncHistoryBox();
  say("The present schedule again.");
  push({op: "peek", at: null});
}

function togglePeek(at) { if (peek === at) endPeek(); else startPeek(at); }

function pinTo(slot) {
  endPeek();
  push({op: "pin", slot, clear: false});
  say(`Pinned as ${slot}.`);
}

// Differences ------------------------------------------------------------------------------
function presentPlanes() {
  return {cells: peek && present ? present.cells : planes.cells, steps: peek && present ? present.steps : planes.steps};
}

function diffCells(one, other) {
  const list = [];
  one.cells.forEach((a, i) => { if (a !== other.cells[i] || one.steps[i % model.S] !== other.steps[i % model.S]) list.push(i); });
  return list;
}

function sidesOf(name) {
  if (name === "none") return null;
  const first = name === "AB" ? "A" : name, second = name === "AB" ? "B" : null;
  if (!otherAt(first) || (second && !otherAt(second))) return null;
  const [one, other] = [otherPlanes(first), second ? otherPlanes(second) : presentPlanes()];
  return one && other && [one, other];
}

function differing() {
  const sides = sidesOf(diffOf);
  return sides ? diffCells(...sides) : [];
}

function countDiff(name) {
  const sides = sidesOf(name);
  return sides ? diffCells(...sides).length : 0;
}

// Cells that only the first computes, only the second, and those with another stand-in.
function diffWords(name) {
  const sides = sidesOf(name);
  if (!sides) return "";
  const [one, other] = sides, [left, right] = name === "AB" ? ["A", "B"] : [name === "previous" ? "before" : name, "now"];
  let only = 0, less = 0, others = 0;
  for (const i of diffCells(one, other)) {
    if (one.cells[i] === COMPUTE && other.cells[i]) only++;
    else if (one.cells[i] && other.cells[i] === COMPUTE) less++;
    else others++;
  }
  if (!only && !less && !others) return "No cell differs.";
  return `${only + less + others} differ: ${only} computed only in ${left}, ${less} only in ${right}, ${others} otherwise.`;
}

function setDiff(name) {
  diffOf = name;
  overlayLater();
  syncHistoryBox();
  say(name === "none" ? "No differences marked." : diffWords(name) || "There is nothing to compare with yet.");
}

function nextDiff() {
  const names = DIFFS.map(([name]) => name).filter(name => name === "none" || sidesOf(name));
  setDiff(names[(names.indexOf(diffOf) + 1) % names.length] || "none");
}

// The panel --------------------------------------------------------------------------------
function openHistory() {
  if (historyBox) return closeHistory(true);
  endPeek();
  closeForm(false);
  const close = action("close", "Close", () => closeHistory(true), "cb-form-close");
  const entries = make("ol", "cb-entries", {role: "listbox", "aria-label": "History, newest first", tabindex: 0});
  const pins = make("div", "cb-pins", {});
  const diff = choices("Mark cells that differ from", "cb-diffs", DIFFS.map(([id, text]) => ({id, content: [text], title: text})),
    () => diffOf, setDiff);
  const words = make("p", "cb-about", {role: "status"});
  const node = make("div", "cb-popover cb-history", {role: "dialog", "aria-label": "History, pins and differences", "data-testid": "history"},
    make("div", "cb-form-head", {}, make("strong", "", {}, "History"), close), entries,
    make("strong", "", {}, "Pins"), pins, make("div", "cb-field-wide", {}, make("span", "cb-about", {}, "Mark cells that differ from"), diff), words);
  historyBox = {node, entries, pins, diff, words, at: null};
  node.addEventListener("keydown", event => {
    event.stopPropagation();
    if (event.key === "Escape") { event.preventDefault(); closeHistory(true); }
  });
  entries.addEventListener("keydown", onEntryKey);
  nodes.bar.after(node);
  nodes.history.setAttribute("aria-expanded", "true");
  syncHistoryBox();
  const area = root.getBoundingClientRect(), button = nodes.history.getBoundingClientRect();
  node.style.left = clamp(button.left - area.left, 0, Math.max(0, area.width - node.offsetWidth)) + "px";
  node.style.top = button.bottom - area.top + 6 + "px";
  entries.focus({preventScroll: true});
  document.addEventListener("pointerdown", closeHistoryOutside, true);
}

function closeHistory(back) {
  if (!historyBox) return;
  historyBox.node.remove();
  historyBox = null;
  nodes.history.setAttribute("aria-expanded", "false");
  document.removeEventListener("pointerdown", closeHistoryOutside, true);
  if (back) nodes.history.focus();
}

function closeHistoryOutside(event) {
  if (historyBox && !historyBox.node.contains(event.target) && !nodes.history.contains(event.target)) closeHistory(false);
}

function syncHistoryBox() {
  syncPeekButton();
  if (!historyBox) return;
  const {entries, pins, diff, words} = historyBox, told = (store.value && store.value.history) || {names: [], first: 0, at: 0};
  const shape = JSON.stringify(told);
  if (historyBox.shape !== shape) {  // else a scrolled list would jump
    historyBox.shape = shape;
    historyBox.at = told.at;
    entries.replaceChildren(...told.names.map((name, k) => {
      const n = told.first + k, ran = told.measured && told.measured[n];
      const node = make("li", n > told.at ? "cb-later" : "", {role: "option", id: `${uid}-entry-${n}`, "data-entry": n,
        "aria-selected": n === told.at, "aria-current": n === told.at ? "step" : null},
        make("span", "cb-entry-name", {}, capital(name)), ...(ran ? [make("span", "cb-entry-ran", {title: "measured; comes back at once"}, ran)] : []));
      node.addEventListener("click", () => goTo(n));
      return node;
    }).reverse());
    markHistoryEntry(told.at);
  }
  const held = [...pins.querySelectorAll("button")].indexOf(document.activeElement);
  pins.replaceChildren(...["A", "B"].map(slot => {
    const other = store.value && store.value.others && store.value.others[slot];
    const show = formButton(peek === slot ? "Back" : "Show", "", () => togglePeek(slot));
    show.disabled = !otherAt(slot);
    show.setAttribute("aria-label", `${peek === slot ? "Back from" : "Show"} ${slot}`);
    const pin = formButton("Pin", "", () => pinTo(slot));
    pin.setAttribute("aria-label", `Pin the present schedule as ${slot}`);
    return make("div", "cb-pinned", {"data-pin": slot}, make("b", "", {}, slot),
      make("span", "cb-entry-name", {}, !other ? "empty" : capital(other.what) + (other.rows ? "" : " (another shape)")), pin, show);
  }));
  if (held >= 0) pins.querySelectorAll("button")[held].focus();
  diff.sync();
  words.textContent = diffWords(diffOf);
}

function markHistoryEntry(n) {
  historyBox.at = n;
  for (const node of historyBox.entries.children) node.classList.toggle("cb-marked", Number(node.dataset.entry) === n);
  const node = historyBox.entries.querySelector(`[data-entry="${n}"]`);
  if (!node) return;
  historyBox.entries.setAttribute("aria-activedescendant", node.id);
  node.scrollIntoView({block: "nearest"});
}

function onEntryKey(event) {
  const told = store.value.history, first = told.first, last = first + told.names.length - 1, at = historyBox.at;
  const to = {ArrowUp: at + 1, ArrowDown: at - 1, PageUp: at + 10, PageDown: at - 10, Home: last, End: first}[event.key];
  if (to !== undefined) { event.preventDefault(); return markHistoryEntry(clamp(to, first, last)); }
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); goTo(at); }
}

function goTo(n) {
  flushTyped();
  endPeek();
  awaiting = "Went back to that edit";
  push({op: "travel", to: n});
}

// The button that shows what was before, for as long as it is held.
function buildPeekButton() {
  nodes.peek = action("peek", tooltipOf(commandOf("previous")), () => {}, "cb-peek");
  nodes.peek.setAttribute("aria-pressed", "false");
  nodes.peek.addEventListener("pointerdown", event => { event.preventDefault(); startPeek("previous"); });
  for (const name of ["pointerup", "pointerleave", "pointercancel"])
    nodes.peek.addEventListener(name, () => { if (peek === "previous") endPeek(); });
  nodes.peek.addEventListener("keydown", event => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) togglePeek("previous");
  });
}

function syncPeekButton() {
  if (!nodes.peek) return;
  nodes.peek.disabled = !otherAt("previous");
  nodes.peek.setAttribute("aria-pressed", peek === "previous");
}
