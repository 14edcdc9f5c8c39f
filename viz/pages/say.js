// Says aloud what the lesson panel says; the panel is written anew at every change, and a live
// region that is itself new is not read.
() => {
  const says = document.getElementById("cb-says");
  const panel = document.querySelector("#lesson [data-say]");
  const task = panel?.querySelector("[aria-current] p")?.textContent ?? "";
  const words = panel ? `${panel.dataset.say} ${task}` : "";
  window.cbDraft?.soon();  // a task may have been ticked long after the last click
  if (says && says.textContent !== words) says.textContent = words;
}
