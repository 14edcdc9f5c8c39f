// Opens the glossary at a term, and says aloud what the lesson panel has to say.
document.addEventListener("click", event => {
  const link = event.target.closest?.("[data-term]");
  const dialog = document.getElementById("cb-glossary");
  if (!link || !dialog) return;
  event.preventDefault();
  dialog.showModal();
  const name = CSS.escape(link.dataset.term);
  const entry = dialog.querySelector(`dt[data-name="${name}"]`);
  dialog.querySelectorAll("dt.cb-sought").forEach(one => one.classList.remove("cb-sought"));
  if (!entry) return dialog.querySelector("dl").scrollTo(0, 0);
  entry.classList.add("cb-sought");
  entry.scrollIntoView({block: "center"});
  entry.focus({preventScroll: true});
});

// A click beside the glossary closes it, as Escape does.
document.addEventListener("click", event => {
  if (event.target.id === "cb-glossary") event.target.close();
});
