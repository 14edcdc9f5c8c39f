// The popover of the brushes: add one with its parameters, change them, recolour, remove.
// It closes when the server has taken the operation; what the server refuses it says in here.
let form = null;  // {target, index, opener, node, error, waits: rev or null, keys: before adding}
const GIVE_UP_MS = 4000;

const catalogueOf = target => BAKED.catalogue[target];
const wordOf = target => target === "cells" ? "predictor" : "action";

function openForm(target, index, opener) {
  const again = form && form.opener === opener;
  closeHistory(false);
  closeForm(false);
  if (again) return opener.focus();
  form = {target, index, opener, waits: null, keys: null, clock: 0};
  form.error = make("p", "cb-form-error", {role: "alert"});
  form.node = make("div", "cb-popover", {
    role: "dialog", "aria-labelledby": uid + "-form", "data-testid": "brush-form",
  });
  form.node.append(...(index === null ? addParts() : editParts()));
  form.node.addEventListener("keydown", event => {
    if (event.key !== "Escape") return event.stopPropagation();  // digits are for the fields
    event.preventDefault();
    event.stopPropagation();
    closeForm(true);
  });
  nodes.bar.after(form.node);
  opener.setAttribute("aria-expanded", "true");
  placeForm();
  const first = form.node.querySelector("select, input, .cb-hues [tabindex='0'], button:not(.cb-form-close)");
  if (first) first.focus({preventScroll: true});
  form.node.scrollIntoView({block: "nearest"});
  document.addEventListener("pointerdown", closeFromOutside, true);
}

function closeForm(back) {
  if (!form) return;
  const done = form;
  form = null;
  clearTimeout(done.clock);
  done.node.remove();
  done.opener.setAttribute("aria-expanded", "false");
  document.removeEventListener("pointerdown", closeFromOutside, true);
  if (back && done.opener.isConnected) done.opener.focus();
}

function closeFromOutside(event) {
  if (form && !form.node.contains(event.target) && !form.opener.contains(event.target)) closeForm(false);
}

// Under the button that opened it, inside the painter.
function placeForm() {
  const area = root.getBoundingClientRect(), button = form.opener.getBoundingClientRect();
  const width = form.node.offsetWidth;
  form.node.style.left = clamp(button.left - area.left, 0, Math.max(0, area.width - width)) + "px";
  form.node.style.top = button.bottom - area.top + 6 + "px";
}

// A brush that left or moved while its form was open is not edited under another one's name.
function followForm(was) {
  if (!form) return;
  if (form.index !== null && form.waits === null) {
    const key = was[form.target][form.index].key;
    form.index = legendOf(form.target).findIndex(brush => brush.key === key);
    if (form.index < 1) return closeForm(false);
    markHues();
  }
  const fresh = [...nodes.legends.querySelectorAll(form.opener.matches(".cb-edit") ? ".cb-edit" : ".cb-add")]
    .find(button => button.dataset.target === form.target);
  if (!form.opener.isConnected && fresh) form.opener = fresh;
  form.opener.setAttribute("aria-expanded", "true");
}

// The parts ---------------------------------------------------------------------------------
function formHead(text) {
  const close = action("close", "Close", () => closeForm(true), "cb-form-close");
  return make("div", "cb-form-head", {}, make("strong", "", {id: uid + "-form"}, text), close);
}

function formEnd(...buttons) {
  return [form.error, make("div", "cb-form-end", {}, ...buttons)];
}

function formButton(text, cls, run, type = "button") {
  const button = make("button", "cb-button cb-text-button " + cls, {type}, text);
  button.addEventListener("click", run);
  return button;
}

function addParts() {
  const {target} = form, list = catalogueOf(target), groups = new Map();
  for (const about of list) {
    if (!groups.has(about.group)) groups.set(about.group, make("optgroup", "", {label: about.group}));
    groups.get(about.group).append(make("option", "", {value: about.name}, about.label));
  }
  const select = make("select", "cb-input", {name: "brush", "data-field": "brush"}, ...groups.values());
  const about = make("p", "cb-about", {}), fields = make("div", "", {});
  let read = () => ({});
  const show = () => {
    const chosen = list.find(one => one.name === select.value), made = brushFields(chosen, null);
    about.textContent = chosen.about;
    fields.replaceChildren(made.node);
    form.error.textContent = "";
    read = made.read;
  };
  // Whatever is not in the legend yet is what somebody who adds a brush wants.
  const have = new Set(legendOf(target).map(brush => brush.name));
  select.value = (list.find(one => !have.has(one.name)) || list[0]).name;
  select.addEventListener("change", show);
  show();
  const body = make("form", "cb-form", {novalidate: ""},
    make("label", "cb-field cb-field-wide", {}, make("span", "",
      {}, target === "cells" ? "What stands in" : "What the step does"), select),
    about, fields,
    ...formEnd(formButton("Add", "cb-primary", () => {}, "submit"),
      formButton("Cancel", "", () => closeForm(true))));
  body.addEventListener("submit", event => {
    event.preventDefault();
    submit(() => ({op: "add", brush: {[wordOf(target)]: select.value, ...read()}}));
  });
  return [formHead(target === "cells" ? "New brush for cells" : "New whole-step action"), body];
}

function editParts() {
  const {target, index} = form, brush = legendOf(target)[index];
  const about = catalogueOf(target).find(one => one.name === brush.name) || {about: "", fields: []};
  const values = brush.key ? JSON.parse(brush.key) : {}, made = brushFields(about, values);
  const save = about.fields.length ? [formButton("Save", "cb-primary", () => {}, "submit")] : [];
  const body = make("form", "cb-form", {novalidate: ""},
    make("p", "cb-about", {}, about.about), made.node, hueChoice(),
    ...formEnd(...save,
      formButton("Remove", "cb-remove", () => submit(() => ({op: "remove"}))),
      formButton("Close", "", () => closeForm(true))));
  body.addEventListener("submit", event => {
    event.preventDefault();
    submit(() => ({op: "replace", brush: {[wordOf(target)]: brush.name, ...made.read()}}));
  });
  return [formHead(brush.label), body];
}

// The colours, by name: none relies on being seen.
function hueChoice() {
  const {target} = form, brush = () => legendOf(target)[form.index];
  const list = BAKED.hues.map((name, n) => ({
    id: String(n), title: name,
    content: [swatch(brush(), target, n), make("span", "cb-hidden", {}, name)],
  }));
  form.hues = choices("Colour", "cb-hues", list, () => form && brush() ? brush().hue : null,
    id => push({op: "recolour", in: target, index: form.index, hue: Number(id), was: brush().key}));
  return make("div", "cb-field cb-field-wide", {}, make("span", "", {"aria-hidden": "true"}, "Colour"), form.hues);
}

function markHues() {
  if (form && form.hues) form.hues.sync();
}

// Sending -----------------------------------------------------------------------------------
function submit(makeOp) {
  if (form.waits !== null) return;
  form.error.textContent = "";
  try {
    const {target, index} = form, brush = index === null ? null : legendOf(target)[index];
    const op = {...makeOp(), in: target, ...(brush ? {index, was: brush.key} : {})};
    form.keys = new Set(legendOf(target).map(one => one.key));
    form.sent = op.op;
    push(op);
    form.waits = store.rev;
    form.node.setAttribute("aria-busy", "true");
  } catch (error) {
    form.error.textContent = error.message;
  }
}

// The server has spoken, or the legend has changed: is it about what this form waits for?
function settleForm(ack, refused) {
  if (!form || form.waits === null || ack < form.waits) return;
  if (refused && refused.rev === form.waits) return refuseForm(refused.words);
  const {target, sent} = form, legend = legendOf(target);
  const fresh = legend.findIndex(brush => !form.keys.has(brush.key));
  if (sent === "add" && fresh < 0) {  // the new legend is still to come
    form.clock = form.clock || setTimeout(() => refuseForm("The server did not answer; try again."), GIVE_UP_MS);
    return;
  }
  closeForm(true);
  if (sent === "add") {
    setBrush(target, fresh);
    (target === "cells" ? nodes.brushes : nodes.stepBrushes).focusChosen();
    say(`Added ${legend[fresh].label}. It is the brush now.`);
  } else if (sent === "remove") say("Brush removed.");
  else if (fresh >= 0) say(`Now ${legend[fresh].label}.`);
}

function refuseForm(words) {
  if (!form) return;
  form.waits = null;
  clearTimeout(form.clock);
  form.clock = 0;
  form.node.removeAttribute("aria-busy");
  form.error.textContent = capital(words) + (/[.!?]$/.test(words) ? "" : ".");
}
