// A form made from the description of a brush: one input for each parameter, in its own type.
// Nothing is checked here but that something was given; the server knows the limits, and says so.

// `about` is an entry of the catalogue, `values` what the brush has now, or null for the defaults.
function brushFields(about, values) {
  const inputs = about.fields.map(field => [field, fieldInput(field, values ? values[field.name] : field.default)]);
  const node = make("div", "cb-fields", {});
  for (const [field, input] of inputs)
    node.append(make("label", "cb-field", {},
      make("span", "", {}, field.name.replaceAll("_", " ")), input,
      make("span", "cb-hint", {}, hintOf(field))));
  return {node, read: () => Object.fromEntries(inputs.map(([field, input]) => [field.name, readField(field, input)]))};
}

function fieldInput(field, value) {
  const base = {name: field.name, "data-field": field.name, class: "cb-input"};
  if (field.type === "choice") {
    const select = make("select", "cb-input", {...base},
      ...field.choices.map(choice => make("option", "", {value: choice}, choice)));
    select.value = value;
    return select;
  }
  if (field.type === "flag") {
    const box = make("input", "", {...base, type: "checkbox"});
    box.checked = !!value;
    return box;
  }
  const number = field.type === "whole" || field.type === "number";
  return make("input", "cb-input", {
    ...base, value: String(value), autocomplete: "off",
    type: number ? "number" : "text",
    step: field.type === "whole" ? 1 : number ? "any" : null,
    min: field.least, max: field.most,
    inputmode: field.type === "whole" ? "numeric" : number ? "decimal" : null,
  });
}

const hintOf = field => field.least === undefined ? ""
  : `${field.type === "whole" ? "whole, " : ""}${shortNumber(field.least)} to ${shortNumber(field.most)}`;

function readField(field, input) {
  if (field.type === "flag") return input.checked;
  if (field.type !== "whole" && field.type !== "number") return input.value;
  const value = input.value.trim() === "" ? NaN : Number(input.value);
  if (!Number.isFinite(value)) throw new Error(`Give a number for ${field.name.replaceAll("_", " ")}.`);
  return value;
}
