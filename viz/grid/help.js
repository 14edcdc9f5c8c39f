// The keys sheet: what the table of commands and the gestures say, in one dialog.
let helpOpen = null;

function openHelp() {
  if (helpOpen) return helpOpen.close();
  flushTyped();
  const back = document.activeElement, groups = [...new Set(COMMANDS.map(one => one.group))];
  const section = (title, lines) => make("section", "", {}, make("h3", "", {}, title),
    make("dl", "cb-help", {}, ...lines.flatMap(([keys, words]) => [make("dt", "", {}, keys), make("dd", "", {}, words)])));
  const close = action("close", "Close", () => helpOpen.close(), "cb-form-close");
  const lines = group => COMMANDS.filter(one => one.group === group && one.keys)
    .map(one => [keysOf(one) + (one.hold ? " (hold)" : ""), one.label + (one.about ? `: ${one.about}` : "")]);
  helpOpen = openDialog("cb-sheet", "Keys and gestures",
    make("div", "cb-form-head", {}, make("strong", "", {}, "Keys and gestures"), close),
    make("div", "cb-sheet-columns", {}, section("Painting", GESTURES), ...groups.map(group => section(group, lines(group)))),
    make("p", "cb-about", {}, "A letter with Shift is a command; without Shift too, as long as no brush and no other command has it."));
  helpOpen.dataset.testid = "keys-sheet";
  const node = helpOpen;
  node.addEventListener("keydown", event => { if (event.key === "?") node.close(); });
  node.addEventListener("close", () => {
    helpOpen = null;
    node.remove();
    if (back && back.isConnected) back.focus({preventScroll: true});
  });
  close.focus();
}
