// The command palette: every command and everything the page offers by name, found by a few letters,
// all with the keyboard. A command with fields asks for them here. The focus returns where it was.
let palette = null;  // {node, input, list, found, at, command} while it is open

const PALETTE_SHOWN = 60;

// What can be chosen: commands of the painter, brushes, and what the page around offers.
function paletteEntries() {
  const offers = prop("offers") || {}, tell = (index, value) => () => trigger("select", {index, value});
  const entry = (group, label, run, more) => ({group, label, run, keys: "", can: true, ...more});
  return [
    ...COMMANDS.filter(one => one.id !== "palette").map(command => entry(command.group, command.label,
      () => runCommand(command), {keys: keysOf(command), can: canRun(command), command})),
    ...["cells", "steps"].flatMap(target => legendOf(target).length < 2 ? [] : legendOf(target).map((brush, k) =>
      entry(target === "cells" ? "Brush" : "Whole steps", brush.label, () => setBrush(target, k)))),
    ...(offers.buttons || []).map(({label, group, selector}) => entry(group, label,
      () => pressPage(selector), {can: !!pageButton(selector)})),
    ...(offers.methods || []).map(([label, name]) => entry("Method", label, tell("method", name))),
    ...((prop("spec") || {}).classes || []).map((name, k) => entry("Class", name, tell("class", k))),
  ];
}

const pageButton = selector => {
  const found = document.querySelector(selector);
  return found && (found.matches("button, input") ? found : found.querySelector("button, input"));
};
const pressPage = selector => { const found = pageButton(selector); if (found) found.click(); };

// How well letters in this order are in a text: a number, or null. Starts of words count most.
function fuzzy(text, sought) {
  const words = text.toLowerCase();
  let score = 0, place = -1;
  for (const letter of sought.toLowerCase()) {
    if (letter === " ") continue;
    const next = words.indexOf(letter, place + 1);
    if (next < 0) return null;
    const start = next === 0 || !/[\p{L}\p{N}]/u.test(words[next - 1]);
    score += start ? 3 : next === place + 1 ? 2 : -Math.min(1, (next - place) * 0.05);
    place = next;
  }
  return score - words.length * 0.01 + (words.includes(sought.toLowerCase().trim()) ? 6 : 0);
}

function openDialog(cls, label, ...children) {
  const node = make("dialog", "cb-dialog " + cls, {"aria-label": label}, ...children);
  node.addEventListener("keydown", event => event.stopPropagation());
  node.addEventListener("pointerdown", event => { if (event.target === node) node.close(); });  // the backdrop
  root.append(node);
  node.showModal();
  return node;
}

function openPalette(command) {
  if (palette) closePalette();
  flushTyped();
  const back = document.activeElement;
  const input = make("input", "cb-input cb-palette-input", {
    type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": uid + "-palette", "aria-autocomplete": "list",
    "aria-label": "Search commands, methods, classes", placeholder: "Search commands, methods, classes", autocomplete: "off", spellcheck: "false",
  });
  const list = make("ul", "cb-palette-list", {role: "listbox", id: uid + "-palette", "aria-label": "Commands"});
  const none = make("p", "cb-about", {hidden: "", role: "status"}, "Nothing by that name.");
  const node = openDialog("cb-palette", "Command palette", input, list, none);
  node.dataset.testid = "palette";
  palette = {node, input, list, none, back, all: paletteEntries(), found: [], at: 0};
  node.addEventListener("close", () => closePalette());
  input.addEventListener("input", findEntries);
  input.addEventListener("keydown", onPaletteKey);
  if (command) return askFields(command);
  findEntries();
  input.focus();
}

function closePalette() {
  if (!palette) return;
  const {node, back} = palette;
  palette = null;
  if (node.open) node.close();
  node.remove();
  if (back && back.isConnected) back.focus({preventScroll: true});
}

function findEntries() {
  const {all, input, list, none} = palette, sought = input.value.trim();
  palette.found = all.map((entry, n) => [fuzzy(`${entry.label} ${entry.group}`, sought), n, entry])
    .filter(([score]) => score !== null).sort((a, b) => sought ? b[0] - a[0] || a[1] - b[1] : a[1] - b[1])
    .slice(0, sought ? PALETTE_SHOWN : all.length).map(([, , entry]) => entry);
  palette.at = 0;
  list.replaceChildren(...palette.found.map((entry, n) => {
    const node = make("li", "", {role: "option", id: `${uid}-option-${n}`, "aria-disabled": entry.can ? null : "true"},
      make("span", "cb-palette-label", {}, entry.label), make("span", "cb-palette-group", {}, entry.group),
      ...(entry.keys ? [make("kbd", "", {}, entry.keys)] : []));
    node.addEventListener("click", () => choose(n));
    node.addEventListener("pointermove", () => { if (palette.at !== n) markEntry(n, true); });
    return node;
  }));
  none.hidden = palette.found.length > 0;
  markEntry(0);
}

function markEntry(n, quiet) {
  palette.at = n;
  [...palette.list.children].forEach((node, k) => node.setAttribute("aria-selected", k === n));
  const node = palette.list.children[n];
  if (node) palette.input.setAttribute("aria-activedescendant", node.id);
  else palette.input.removeAttribute("aria-activedescendant");
  if (node && !quiet) node.scrollIntoView({block: "nearest"});
}

function onPaletteKey(event) {
  const {found, at} = palette, last = found.length - 1;
  const to = {ArrowDown: at === last ? 0 : at + 1, ArrowUp: at ? at - 1 : last, PageDown: Math.min(last, at + 10),
    PageUp: Math.max(0, at - 10), Home: event.ctrlKey ? 0 : null, End: event.ctrlKey ? last : null}[event.key];
  if (Number.isInteger(to) && last >= 0) { event.preventDefault(); return markEntry(to); }
  if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); choose(at); }
}

function choose(n) {
  const entry = palette.found[n];
  if (!entry || !entry.can) return;
  if (entry.command && entry.command.fields) return askFields(entry.command);
  closePalette();
  entry.run();
}

// The second page of the palette: the numbers a command needs.
function askFields(command) {
  const {node} = palette, error = make("p", "cb-form-error", {role: "alert"});
  const fields = command.fields(), kept = (store.given = store.given || {})[command.id] || {};
  const inputs = fields.map(field => make("input", "cb-input", {
    type: "number", step: 1, min: field.least, max: field.most, name: field.name, value: kept[field.name] ?? field.value,
  }));
  const body = make("form", "cb-form", {novalidate: ""},
    make("strong", "", {}, command.label), ...(command.about ? [make("p", "cb-about", {}, command.about)] : []),
    make("p", "cb-about", {}, selection.size ? `${chosenCount()} selected.` : "Of the cell, row or step in focus."),
    ...fields.map((field, k) => make("label", "cb-field", {}, make("span", "", {}, field.label), inputs[k],
      make("span", "cb-hint", {}, `${field.least} to ${field.most}`))),
    error, make("div", "cb-form-end", {}, formButton("Apply", "cb-primary", () => {}, "submit"), formButton("Cancel", "", () => closePalette())));
  body.addEventListener("submit", event => {
    event.preventDefault();
    const given = {};
    for (const [k, field] of fields.entries()) {
      const value = Number(inputs[k].value);
      if (inputs[k].value.trim() === "" || !Number.isInteger(value) || value < field.least || value > field.most) {
        error.textContent = `${field.label}: give a whole number from ${field.least} to ${field.most}.`;
        return inputs[k].focus();
      }
      given[field.name] = value;
    }
    store.given[command.id] = given;
    closePalette();
    runCommand(command, given);
  });
  node.replaceChildren(body);
  node.setAttribute("aria-label", command.label);
  inputs[0].focus();
  inputs[0].select();
}
