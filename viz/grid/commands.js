// Every command once: the keyboard, the palette, the keys sheet, the tooltips and the bar under the
// grid all read this table. Keys: "Mod" is Ctrl or Cmd. "Shift+M" also answers to a plain M while no
// brush and no other command has that letter. `page`: true, or those of the keys, where the keyboard
// is anywhere on the page; else in the painter.
const needsCells = () => editList().length > 0;
const whole = (name, label, value, least, most, about) => ({name, label, value, least, most, about});

// Parts of the page around, which may not have them: the painter also stands alone.
const SCRUBBER = "#compare .cbc-track";
const presetAt = n => `#preset label:nth-of-type(${n})`;
const onPage = selector => !!document.querySelector(selector);

const COMMANDS = [
  {id: "palette", group: "Help", label: "Command palette", keys: ["Mod+K"], page: true, run: () => openPalette()},
  {id: "help", group: "Help", label: "Keys and gestures", keys: ["?"], page: true, run: () => openHelp()},

  {id: "run", group: "Page", label: "Run", keys: ["Enter", "Mod+Enter"], page: ["Mod+Enter"], can: () => onPage("#run"), about: "with Ctrl from anywhere",
    run: () => { flushTyped(); offer(); pressPage("#run"); }},
  {id: "link", group: "Page", label: "Copy a link to this state", keys: ["L"], can: () => onPage("#share"), run: () => { flushTyped(); pressPage("#share"); }},
  ...[["back", "earlier", "[", "ArrowLeft"], ["on", "later", "]", "ArrowRight"]].map(([id, words, key, arrow]) => ({
    id: `scrub-${id}`, group: "Page", label: `Pictures a step ${words}`, keys: [key], page: true, can: () => onPage(SCRUBBER),
    run: () => document.querySelector(SCRUBBER).dispatchEvent(new KeyboardEvent("keydown", {key: arrow, cancelable: true})),
  })),
  ...[1, 2, 3, 4].map(n => ({
    id: `preset-${n}`, group: "Page", label: `Preset ${n} of the demo`, keys: [`Alt+${n}`], page: true, can: () => onPage(presetAt(n)),
    run: () => { flushTyped(); pressPage(presetAt(n)); },
  })),

  {id: "undo", group: "History", label: "Undo", keys: ["Mod+Z"], page: true, can: () => !nodes.undo.disabled, run: () => travel("undo")},
  {id: "redo", group: "History", label: "Redo", keys: ["Mod+Shift+Z", "Mod+Y"], page: true, can: () => !nodes.redo.disabled,
    run: () => travel("redo")},
  {id: "history", group: "History", label: "History, pins and differences", keys: ["Shift+H"], run: () => openHistory()},
  {id: "previous", group: "History", label: "Compare with the previous schedule", keys: ["."], hold: true,
    can: () => !!otherAt("previous"), run: () => togglePeek("previous")},
  {id: "pin-a", group: "History", label: "Pin as A", keys: ["Shift+A", "P"], run: () => pinTo("A")},
  {id: "pin-b", group: "History", label: "Pin as B", keys: ["Shift+B"], run: () => pinTo("B")},
  {id: "show-a", group: "History", label: "Show A", can: () => !!otherAt("A"), run: () => togglePeek("A")},
  {id: "show-b", group: "History", label: "Show B", can: () => !!otherAt("B"), run: () => togglePeek("B")},
  {id: "diff", group: "History", label: "Mark cells that differ", keys: ["Shift+D"], about: "from the previous schedule, A or B, or between A and B",
    run: () => nextDiff()},

  {id: "tool-paint", group: "Tools", label: "Paint", keys: ["Shift+P"], run: () => setTool("paint")},
  {id: "tool-box", group: "Tools", label: "Box", keys: ["Shift+X"], run: () => setTool("box")},
  {id: "tool-select", group: "Tools", label: "Select", keys: ["Shift+S"], run: () => setTool("select")},
  {id: "tool-lock", group: "Tools", label: "Lock brush", keys: ["Shift+K"], run: () => setTool("lock")},
  {id: "tool-pan", group: "Tools", label: "Pan", keys: ["Shift+O"], run: () => setTool("pan")},
  {id: "grain", group: "Tools", label: "Next grain: step, block, branch", keys: ["Shift+G"], run: () => nextGrain()},

  {id: "copy", bar: "Clipboard", group: "Selection", label: "Copy", keys: ["Mod+C"], can: needsCells, run: () => copyCells(false)},
  {id: "cut", bar: "Clipboard", group: "Selection", label: "Cut", verb: "cut", keys: ["Mod+X"], can: needsCells, run: () => copyCells(true)},
  {id: "paste", bar: "Clipboard", group: "Selection", label: "Paste", verb: "paste", keys: ["Mod+V"], can: () => !!stores.$clip, run: () => pasteCells()},
  {id: "fill", bar: "State", group: "Selection", label: "Fill with the brush", short: "Fill", verb: "fill", keys: ["Space"], shown: true, can: needsCells,
    run: () => reshape("fill", (cells, list, of, where) => filled(cells, list, brushOn(where), of))},
  {id: "clear", bar: "State", group: "Selection", label: "Clear to compute", short: "Clear", verb: "clear", keys: ["Delete"], shown: true, can: needsCells,
    run: () => reshape("clear", (cells, list, of) => filled(cells, list, COMPUTE, of))},
  {id: "invert", bar: "State", group: "Selection", label: "Invert", verb: "invert", keys: ["Shift+I"], can: needsCells,
    about: "computed cells get the brush, others compute", run: () => reshape("invert", (cells, list, of, where) => inverted(cells, list, editBrush(where), of))},
  {id: "every", bar: "Pattern", group: "Selection", label: "Every n-th step computed", short: "Every n…", verb: "every", keys: ["Shift+N"], can: needsCells,
    fields: () => [whole("n", "Compute one step in", 3, 1, model.S), whole("offset", "Starting at chosen step", 0, 0, model.S - 1)],
    run: given => reshape("every", (cells, list, of, where) => everyNth(cells, list, given.n, given.offset, editBrush(where), of))},
  {id: "random", bar: "Pattern", group: "Selection", label: "Randomise", short: "Random…", verb: "randomise", keys: ["Shift+R"], can: needsCells,
    fields: () => [whole("share", "Share that gets the brush, %", 50, 0, 100), whole("seed", "Seed", 1, 0, 4294967295)],
    run: given => reshape("randomise", (cells, list, of, where) => randomised(cells, list, given.share / 100, given.seed, editBrush(where), of))},
  {id: "ends", bar: "Pattern", group: "Selection", label: "Keep first and last steps computed", short: "Keep ends…", verb: "keep", keys: ["Shift+E"], can: needsCells,
    fields: () => [whole("first", "First steps", 2, 0, model.S), whole("last", "Last steps", 1, 0, model.S)],
    run: given => reshape("keep", (cells, list, of) => keptEnds(cells, list, given.first, given.last, of))},
  {id: "mirror", bar: "Turn", group: "Selection", label: "Mirror in time", short: "Mirror ↔", verb: "mirror", keys: ["Shift+M"], can: needsCells,
    run: () => reshape("mirror", (cells, list, of) => mirrored(cells, list, "time", of))},
  {id: "flip", bar: "Turn", group: "Selection", label: "Mirror over blocks", short: "Mirror ↕", verb: "flip", keys: ["Shift+F"], can: needsCells,
    run: () => reshape("flip", (cells, list, of) => mirrored(cells, list, "blocks", of))},
  ...[["left", "a step earlier", "←", "time", -1, "ArrowLeft"], ["right", "a step later", "→", "time", 1, "ArrowRight"],
    ["up", "a block up", "↑", "blocks", -1, "ArrowUp"], ["down", "a block down", "↓", "blocks", 1, "ArrowDown"]].map(([id, words, arrow, way, by, key]) => ({
    id: `rotate-${id}`, bar: "Turn", group: "Selection", label: `Rotate ${words}`, short: `↻ ${arrow}`, verb: way === "time" ? "rotate" : "shift",
    keys: [`Mod+Shift+${key}`], can: needsCells, about: "what leaves at one end comes back at the other",
    run: () => reshape(way === "time" ? "rotate" : "shift", (cells, list, of) => rotated(cells, list, way, by, of)),
  })),
  ...[["left", "ArrowLeft", 0, -1], ["right", "ArrowRight", 0, 1], ["up", "ArrowUp", -1, 0], ["down", "ArrowDown", 1, 0]].map(([id, key, down, right]) => ({
    id: `move-${id}`, group: "Selection", label: `Move ${id}`, verb: "move", keys: [`Mod+${key}`], can: needsCells, run: () => nudge(down, right),
  })),
  {id: "lock", bar: "Lock", group: "Selection", label: "Lock or unlock", short: "Lock", keys: ["Shift+L"], can: needsCells, run: toggleLocks},
  {id: "unlock-all", bar: "Lock", group: "Selection", label: "Unlock every cell", short: "Unlock all", can: () => planes.locks.some(Boolean), run: unlockAll},
  {id: "select-all", bar: "Select", group: "Selection", label: "Select all", short: "All", keys: ["Mod+A"], run: selectAll},
  {id: "select-rows", bar: "Select", group: "Selection", label: "Select whole rows", short: "Rows", keys: ["Shift+Y"], can: needsCells, run: selectRows},
  {id: "select-steps", bar: "Select", group: "Selection", label: "Select whole steps", short: "Steps", keys: ["Shift+T"], can: needsCells, run: selectSteps},
  {id: "select-same", bar: "Select", group: "Selection", label: "Select the same state", short: "Same state", keys: ["Shift+Q"], can: needsCells, run: selectSame},
  {id: "select-none", bar: "Select", group: "Selection", label: "Select none", short: "None", keys: ["Escape"], shown: true,
    can: () => selection.size > 0, run: () => setSelection([])},
];

// What fingers and the mouse do, for the keys sheet.
const GESTURES = [
  ["Drag", "paint; starting on a cell that has the brush already erases to compute"],
  ["Shift + drag", "a box; with Select, more cells"],
  ["Right button", "erase to compute"],
  ["Click or drag headings", "whole rows or steps"],
  ["Drag the selection", "move what it holds"],
  ["Two fingers", "scroll while a painting tool is on"],
  ["Arrows, Home, End, PgUp, PgDn", "move the focus"],
  ["Space", "toggle the cell, or the row or step of a heading; with a selection, fill it"],
  ["Shift + arrows", "paint along; with Select, extend the selection"],
  ["0–9 or its letter", "choose a brush; in the step row, one for steps"],
  ["Esc", "cancel the stroke in hand; else select none"],
];

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const commandOf = id => COMMANDS.find(one => one.id === id);
const canRun = command => !command.can || !!command.can();

const KEY_NAMES = {ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc"};
const keyText = key => key.split("+").map(part =>
  part === "Mod" ? (MAC ? "⌘" : "Ctrl") : KEY_NAMES[part] || part).join(MAC ? " " : " + ");
const keysOf = command => (command.keys || []).map(keyText).join(", ");
const tooltipOf = command => command.label + (command.keys ? ` (${keysOf(command)})` : "") + (command.about ? `: ${command.about}` : "");
const ariaKeys = command => command.keys
  ? command.keys.map(key => key.replace("Mod", MAC ? "Meta" : "Control")).join(" ") : null;

// "Mod+Shift+Z" of a key event. A sign such as ? or { has its Shift in it.
function keyOf(event) {
  const letter = /^[a-z]$/i.test(event.key), digit = event.altKey && /^Digit(\d)$/.exec(event.code);
  // Alt and a digit is a sign of its own on some keyboards.
  const name = digit ? digit[1] : letter ? event.key.toUpperCase() : event.key === " " ? "Space" : event.key;
  const shift = event.shiftKey && (letter || event.key.length > 1);
  return (event.ctrlKey || event.metaKey ? "Mod+" : "") + (event.altKey ? "Alt+" : "") + (shift ? "Shift+" : "") + name;
}

// The command of a key, anywhere on the page or in the painter. Those marked `shown` have keys that
// the painter's own handler answers, because they mean more than one thing.
function commandOfKey(event, anywhere) {
  const key = keyOf(event), everywhere = command => Array.isArray(command.page) ? command.page.includes(key) : !!command.page;
  const found = sought => COMMANDS.find(command => !command.shown && everywhere(command) === anywhere && (command.keys || []).includes(sought));
  return found(key) || /^[A-Z]$/.test(key) && found(`Shift+${key}`) || null;
}

// Those with fields ask first, in the palette.
function runCommand(command, given) {
  if (!canRun(command)) return say(`${command.label} is not possible now.`);
  if (command.fields && !given) return openPalette(command);
  command.run(given);
  syncSelectionBar();
}
