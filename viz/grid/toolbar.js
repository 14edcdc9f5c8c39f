// The toolbar: brushes, tools, undo, the colour switch and the zoom.
function buildToolbar() {
  nodes.legends = make("div", "cb-legends", {});
  buildBrushes();
  nodes.tools = choices("Tool", "cb-tools", [
    {id: "paint", content: [icon("paint"), word("Paint")], title: "Paint cell by cell" + keyHint("tool-paint")},
    {id: "box", content: [icon("box"), word("Box")], title: "Fill a box (or hold Shift)" + keyHint("tool-box")},
    {id: "select", content: [icon("select"), word("Select")], title: "Select cells to copy, move, mirror …" + keyHint("tool-select")},
    {id: "lock", content: [icon("lock"), word("Lock")], title: "Lock cells: nothing changes them" + keyHint("tool-lock")},
    {id: "pan", content: [icon("pan"), word("Pan")], title: "Move the view, paint nothing" + keyHint("tool-pan")},
  ], () => store.tool, setTool);
  nodes.undo = action("undo", "Undo", () => travel("undo"));
  nodes.redo = action("redo", "Redo", () => travel("redo"));
  nodes.history = action("history", commandOf("history").label, openHistory, "cb-history-button");
  nodes.history.title = tooltipOf(commandOf("history"));
  nodes.history.setAttribute("aria-haspopup", "dialog");
  nodes.history.setAttribute("aria-expanded", "false");
  buildPeekButton();
  nodes.grains = choices("Paint by", "cb-grains", grainChoices(), () => store.grain, setGrain);
  nodes.views = choices("Colours", "cb-views", [
    {id: "plan", content: ["Plan"], title: "Colours show the schedule"},
    {id: "ran", content: ["Ran"], title: "Colours show what the last run really did"},
    {id: "layer", content: ["Similarity"], title: "Colours show the measured numbers"},
    {id: "effect", content: ["Effect"], title: "Colours show what toggling a cell would cost or win"},
    {id: "both", content: ["Both"], title: "Numbers as colour, the schedule as a patch inside"},
  ], () => store.view, setView);
  nodes.scale = make("div", "cb-scale", {"data-testid": "grid-scale"});
  nodes.zooms = choices("Zoom", "cb-zooms", [
    {id: "fit", content: ["Fit"], title: "Every step in view"},
    {id: "100", content: ["100 %"], title: "Cells of 24 pixels"},
    {id: "150", content: ["150 %"], title: "Cells of 36 pixels"},
  ], () => store.zoom, id => { store.zoom = id; store.autoZoom = false; layout(); });
  nodes.help = action("help", "Keys and gestures", openHelp, "cb-help-button");
  nodes.help.setAttribute("aria-haspopup", "dialog");
  nodes.palette = action("search", "Command palette", () => openPalette(), "cb-palette-button");
  nodes.palette.setAttribute("aria-haspopup", "dialog");
  for (const name of ["help", "palette"]) nodes[name].title = tooltipOf(commandOf(name));
  nodes.bar.replaceChildren(
    make("div", "cb-bar", {role: "toolbar", "aria-label": "Painting"}, nodes.legends, nodes.tools,
      make("div", "cb-pair", {}, nodes.undo, nodes.redo, nodes.history, nodes.peek)),
    make("div", "cb-bar cb-bar-quiet", {role: "toolbar", "aria-label": "Grain and looks"}, nodes.grains, nodes.views,
      nodes.scale, nodes.zooms, make("div", "cb-askers", {}, nodes.palette, nodes.help)));
  buildSelectionBar();
  syncHistory();
}

const word = text => make("span", "cb-word", {}, text);

const keyHint = id => ` (${keysOf(commandOf(id))})`;

// How much one place of a stroke or a selection stands for.
function grainChoices() {
  const all = model.branches.join(" and ");
  return [
    {id: "step", content: ["Step"], title: "Whole steps: every block and branch" + keyHint("grain")},
    ...(model.R > 1 ? [{id: "block", content: ["Block"], title: `Blocks: ${all} together` + keyHint("grain")}] : []),
    {id: "cell", content: [model.R > 1 ? "Branch" : "Block"], title: "Single cells" + keyHint("grain")},
  ];
}

function setGrain(grain) {
  store.grain = grain;
  nodes.grains.sync();
  const words = {step: "whole steps", block: "whole blocks", cell: "single cells"}[grain];
  say(`Painting and selecting ${words}.`);
}

function nextGrain() {
  const ids = grainChoices().map(choice => choice.id);
  setGrain(ids[(ids.indexOf(store.grain) + 1) % ids.length]);
}

function setTool(tool) {
  if (store.tool !== tool && tool === "select") say("Select: drag over cells or headings, or use Shift and arrows.");
  else if (store.tool !== tool && tool === "lock") say("Lock: drag over cells; starting on a locked one unlocks.");
  store.tool = tool;
  // A 6 px cell cannot be hit with a finger: painting by touch zooms in, panning zooms back.
  if (COARSE && tool !== "pan" && store.zoom === "fit" && geometry.cw < 14) {
    store.zoom = "150";
    store.autoZoom = true;
  } else if (tool === "pan" && store.autoZoom) {
    store.zoom = "fit";
    store.autoZoom = false;
  }
  nodes.tools.sync();
  nodes.zooms.sync();
  root.dataset.tool = tool;
  syncSelectionBar();
  layout();
}

function setView(view) {
  const turned = (store.view === "ran") !== (view === "ran");
  store.view = view;
  root.dataset.view = view;
  nodes.views.sync();
  staleEffects();
  drawScale();
  if (!turned) return;
  redraw();
  drawMarks();
  showDecided();
}

function syncHistory() {
  syncHistoryBox();
  const hand = standing(store.pending).length > 0;
  const labels = {undo: hand ? "stroke" : history.undo, redo: history.redo};
  for (const way of ["undo", "redo"]) {
    const label = labels[way], name = capital(way);
    nodes[way].disabled = label === null || label === undefined;
    nodes[way].title = (label ? `${name}: ${label}` : `Nothing to ${way}`) +
      ` (${keyText(commandOf(way).keys[0])})`;
    nodes[way].setAttribute("aria-label", label ? `${name}: ${label}` : name);
  }
}
