// Saves the schedule's text as a file of the visitor's, without a temporary file on the server.
(text) => {
  if (!text) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
  link.download = "schedule.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
