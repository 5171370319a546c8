/*
 * Keeps the keys that are pressed in the settings form from the notebook, in which x cuts and d d deletes a cell.
 * JupyterLab listens while they bubble; Notebook while they are captured, which only the attribute on what has the
 * focus prevents. That attribute silences Ctrl+S too, so it is handed on.
 */

const SUPPRESS = "data-lm-suppress-shortcuts";

function handOn(event, root) {
  const notebook = root.closest(".jp-Notebook");
  if (!notebook) return;
  event.preventDefault();
  event.stopPropagation();
  const { key, code, keyCode, ctrlKey, metaKey } = event;
  const same = { key, code, keyCode, ctrlKey, metaKey, bubbles: true, cancelable: true };
  notebook.dispatchEvent(new KeyboardEvent("keydown", same));
}

function guard(event, root) {
  const saves = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
  if (saves && event.type === "keydown") handOn(event, root);
  else if (event.key === "Enter" || !(event.ctrlKey || event.metaKey || event.altKey)) event.stopPropagation();
}

function render({ el }) {
  let waiting = 0;
  const attach = () => {
    const root = el.closest(".gm-settings");
    if (!root) {
      waiting = requestAnimationFrame(attach);
      return;
    }
    for (const type of ["keydown", "keyup", "keypress"]) {
      root.addEventListener(type, (event) => guard(event, root));
    }
    root.addEventListener("focusin", (event) => event.target.setAttribute(SUPPRESS, "true"));
  };
  attach();
  return () => cancelAnimationFrame(waiting);
}

export default { render };
