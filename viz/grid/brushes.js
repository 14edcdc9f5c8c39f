// The brushes in the toolbar: the legend of the cells and, once there is one, that of the step row.
const KNOWN_KINDS = new Set(["compute", "reuse", "forecast", "calibrated", "partial", "skip", "run"]);

// The look of a brush as classes: a pattern by kind, and the colour that was chosen for it.
function lookOf(brush, target = "cells", hue = brush.hue) {
  const kind = KNOWN_KINDS.has(brush.kind) ? brush.kind : target === "steps" ? "whole" : "other";
  return `cb-look-${kind}` + (hue === null || hue === undefined ? "" : ` cb-hue cb-hue-${hue}`);
}

// Compute and reuse are plain enough to be told without one.
const letterOf = brush => ["compute", "reuse", "run"].includes(brush.kind) ? "" : brush.letter || "";

// A small cell in the look of a brush.
function swatch(brush, target = "cells", hue = brush.hue) {
  return make("span", "cb-swatch " + lookOf(brush, target, hue), {
    "aria-hidden": "true", "data-a": target === "cells" ? legendOf("cells").indexOf(brush) : null,
  });
}

function buildBrushes() {
  for (const target of ["cells", "steps"])
    if (brushOn(target) >= legendOf(target).length)
      store.brushes[target] = Math.min(1, legendOf(target).length - 1);
  nodes.brushes = choices("Brush for cells", "cb-brushes", legendOf("cells").map(cellChoice),
    () => brushOn("cells"), id => setBrush("cells", Number(id)));
  const few = legendOf("steps").length < 2;
  nodes.stepBrushes = few ? null : choices("Brush for whole steps", "cb-brushes cb-step-brushes",
    legendOf("steps").map(stepChoice), () => "s" + brushOn("steps"),
    id => setBrush("steps", Number(id.slice(1))));
  nodes.legends.replaceChildren(legendNode("cells", nodes.brushes, few ? "" : "Cells"),
    ...(few ? [] : [legendNode("steps", nodes.stepBrushes, "Steps")]));
  syncEdits();
}

function legendNode(target, set, caption) {
  const what = target === "cells" ? "brush" : "whole-step action";
  const add = action("plus", `Add a ${what}`, () => openForm(target, null, add), "cb-add");
  const edit = action("edit", `Change this ${what}`, () => openForm(target, brushOn(target), edit), "cb-edit");
  for (const button of [add, edit]) {
    button.setAttribute("aria-haspopup", "dialog");
    button.setAttribute("aria-expanded", "false");
    button.dataset.target = target;
  }
  return make("div", "cb-legend", {role: "group", "aria-label": `Brushes for ${target}`},
    ...(caption ? [make("span", "cb-caption", {}, caption)] : []), set, make("span", "cb-duo", {}, edit, add));
}

function cellChoice(brush, k) {
  const letters = lettersFor("cells", k);
  return {
    id: String(k), content: brushContent(brush, "cells", k < 10 ? String(k) : letters[0]),
    title: `Brush: ${brush.label} (${keysText(k, letters)})`,
    keys: [...(k < 10 ? [k] : []), ...letters].join(" "),
  };
}

function stepChoice(brush, k) {
  const letters = lettersFor("steps", k);
  return {
    id: "s" + k, content: brushContent(brush, "steps", k < 10 ? String(k) : letters[0]),
    title: `Whole steps: ${brush.label} (in the step row ${keysText(k, letters)})`,
    keys: [...(k < 10 ? [k] : []), ...letters].join(" "),
  };
}

const brushContent = (brush, target, key) => [
  swatch(brush, target), make("span", "cb-brush-name", {}, brush.label),
  ...(key ? [make("kbd", "", {}, key)] : []),
];

const keysText = (k, letters) =>
  [...(k < 10 ? [`key ${k}`] : []), ...letters].join(" or ") || "no key of its own";

// The letters that choose brush k of a legend.
const lettersFor = (target, k) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ".split("")
  .filter(letter => brushOfLetter(target, letter) === k);

// A letter chooses the brush that has it; R and F, while free, the first reuse and forecast.
function brushOfLetter(target, letter) {
  const legend = legendOf(target), own = legend.findIndex(b => b.letter && b.letter.toUpperCase() === letter);
  if (own >= 0) return own;
  const kind = {C: target === "cells" ? "compute" : "run", R: "reuse", F: "forecast"}[letter];
  return kind ? legend.findIndex(brush => brush.kind === kind) : -1;
}

function brushOfKey(key, target) {
  if (/^[0-9]$/.test(key)) return Number(key) < legendOf(target).length ? [target, Number(key)] : null;
  if (!/^[a-z]$/i.test(key)) return null;
  for (const where of target === "steps" ? ["steps", "cells"] : ["cells", "steps"]) {
    const k = brushOfLetter(where, key.toUpperCase());
    if (k >= 0) return [where, k];
  }
  return null;
}

function setBrush(target, k) {
  store.brushes[target] = k;
  syncBrushes();
  const place = target === "steps" ? "In the step row, " : "";
  say(`${target === "steps" ? "Step brush" : "Brush"}: ${legendOf(target)[k].label}. ` +
    `${place}${place ? "space" : "Space"} or Shift + arrows paint.`);
}

function syncBrushes() {
  nodes.brushes.sync();
  if (nodes.stepBrushes) nodes.stepBrushes.sync();
  syncEdits();
  showChosen();
}

// On a narrow page a legend is one line that scrolls; the brush in hand is in sight.
function showChosen() {
  for (const set of [nodes.brushes, nodes.stepBrushes]) {
    const chosen = set && set.querySelector("[aria-checked=true]");
    if (!chosen || set.scrollWidth <= set.clientWidth) continue;
    const left = chosen.offsetLeft - set.offsetLeft, right = left + chosen.offsetWidth;
    set.scrollLeft = clamp(set.scrollLeft, right - set.clientWidth + 4, left - 4);
  }
}

// Compute has no parameters and no colour of choice.
function syncEdits() {
  for (const button of nodes.legends.querySelectorAll(".cb-edit"))
    button.disabled = brushOn(button.dataset.target) === 0;
}
