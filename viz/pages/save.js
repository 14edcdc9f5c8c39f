// Saves text as a file of the visitor's, without a temporary file on the server. A schedule comes as
// it is; an export as {name, text}.
(given) => {
  if (!given) return;
  const named = JSON.parse(given);
  const file = named.text === undefined ? {name: "schedule.json", text: given} : named;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([file.text], {type: "text/plain"}));
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
