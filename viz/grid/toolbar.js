// The toolbar: brushes, tools, undo, the colour switch and the zoom.
function buildToolbar() {
  nodes.legends = make("div", "cb-legends", {});
  buildBrushes();
  nodes.tools = choices("Tool", "cb-tools", [
    {id: "paint", content: [icon("paint"), word("Paint")], title: "Paint cell by cell"},
    {id: "box", content: [icon("box"), word("Box")], title: "Fill a box (or hold Shift)"},
    {id: "pan", content: [icon("pan"), word("Pan")], title: "Move the view, paint nothing"},
  ], () => store.tool, setTool);
  nodes.undo = action("undo", "Undo", () => travel("undo"));
  nodes.redo = action("redo", "Redo", () => travel("redo"));
  nodes.pairs = make("button", "cb-button cb-pairs", {
    type: "button", "aria-pressed": store.pairs, title: pairsTitle(),
  }, icon("link"), word(model.branches.join(" + ")));
  nodes.pairs.hidden = model.R < 2;
  nodes.pairs.addEventListener("click", () => {
    store.pairs = !store.pairs;
    nodes.pairs.setAttribute("aria-pressed", store.pairs);
  });
  nodes.views = choices("Colours", "cb-views", [
    {id: "plan", content: ["Plan"], title: "Colours show the schedule"},
    {id: "ran", content: ["Ran"], title: "Colours show what the last run really did"},
    {id: "layer", content: ["Similarity"], title: "Colours show the measured numbers"},
    {id: "both", content: ["Both"], title: "Numbers as colour, the schedule as a patch inside"},
  ], () => store.view, setView);
  nodes.scale = make("div", "cb-scale", {"data-testid": "grid-scale"});
  nodes.zooms = choices("Zoom", "cb-zooms", [
    {id: "fit", content: ["Fit"], title: "Every step in view"},
    {id: "100", content: ["100 %"], title: "Cells of 24 pixels"},
    {id: "150", content: ["150 %"], title: "Cells of 36 pixels"},
  ], () => store.zoom, id => { store.zoom = id; store.autoZoom = false; layout(); });
  nodes.help = action("help", "Keys and gestures", toggleHelp, "cb-help-button");
  nodes.help.setAttribute("aria-expanded", "false");
  nodes.bar.replaceChildren(
    make("div", "cb-bar", {role: "toolbar", "aria-label": "Painting"}, nodes.legends, nodes.tools,
      nodes.pairs, make("div", "cb-pair", {}, nodes.undo, nodes.redo)),
    make("div", "cb-bar cb-bar-quiet", {role: "toolbar", "aria-label": "Looking"}, nodes.views,
      nodes.scale, nodes.zooms, nodes.help));
  nodes.panel.replaceChildren(...helpLines());
  syncHistory();
}

const word = text => make("span", "cb-word", {}, text);

const pairsTitle = () => `Paint ${model.branches.join(" and ")} of a block together`;

function setTool(tool) {
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
  layout();
}

function setView(view) {
  const turned = (store.view === "ran") !== (view === "ran");
  store.view = view;
  root.dataset.view = view;
  nodes.views.sync();
  drawScale();
  if (!turned) return;
  redraw();
  drawMarks();
  showDecided();
}

function syncHistory() {
  const hand = standing(store.pending).length > 0;
  const labels = {undo: hand ? "stroke" : history.undo, redo: history.redo};
  for (const way of ["undo", "redo"]) {
    const label = labels[way], name = capital(way);
    nodes[way].disabled = label === null || label === undefined;
    nodes[way].title = (label ? `${name}: ${label}` : `Nothing to ${way}`) +
      (way === "undo" ? " (Ctrl+Z)" : " (Ctrl+Shift+Z)");
    nodes[way].setAttribute("aria-label", label ? `${name}: ${label}` : name);
  }
}

function toggleHelp() {
  nodes.panel.hidden = !nodes.panel.hidden;
  nodes.help.setAttribute("aria-expanded", !nodes.panel.hidden);
}

function helpLines() {
  const lines = [
    ["Drag", "paint; starting on a cell that already has the brush erases to compute"],
    ["Shift + drag", "a box"],
    ["Right button", "erase to compute"],
    ["Click a heading", "a whole row or step; drag over headings for several"],
    ["Arrows, Home, End, PgUp, PgDn", "move"],
    ["Row above the grid", "what a whole step does; it has brushes of its own"],
    ["Space", "toggle the cell, or the row or step of a heading"],
    ["Shift + arrows", "paint along"],
    ["0–9 or its letter", "choose a brush; in the step row, one for steps"],
    ["Ctrl + Z, Ctrl + Shift + Z", "undo, redo"],
    ["Esc", "cancel the stroke in hand"],
  ];
  return lines.flatMap(([keys, what]) => [make("dt", "", {}, keys), make("dd", "", {}, what)]);
}
