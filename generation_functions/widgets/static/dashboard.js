/**
 * The dashboard as an anywidget: shows the page that the kernel makes, follows the run in one line, and tells the kernel
 * which step's items a click wants to see. The page holds texts of models and files in escaped form only.
 */

export default { render };

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "gm-dashboard gm-live";
  root.textContent = "…";
  let now = "";
  const hear = (message) => {
    if (message.html !== undefined) replace(root, message.html);
    if (message.now !== undefined) now = message.now;
    const line = root.querySelector(".gm-now");
    if (line) line.textContent = now;
  };
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-step]");
    if (button) model.send({ op: "show", ...button.dataset });
  });
  root.addEventListener("keydown", (event) => {
    if (event.target.matches("button")) event.stopPropagation(); // Enter would begin to edit the notebook's cell
  });
  model.on("msg:custom", hear);
  el.replaceChildren(root);
  model.send({ op: "open" });
  return () => model.off("msg:custom", hear);
}

/** Put a new page in place of the old one; the button that has the focus keeps it. */
function replace(root, html) {
  const focused = root.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
  root.innerHTML = html;
  for (const button of root.querySelectorAll("button")) {
    button.setAttribute("data-lm-suppress-shortcuts", "true");
    if (focused && same(button.dataset, focused)) button.focus({ preventScroll: true });
  }
}

function same(one, other) {
  return ["step", "key", "find"].every((name) => one[name] === other[name]);
}
