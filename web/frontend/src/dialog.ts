/** Dialogues that the phone's Back closes: each is a step of the browser's history. */

interface Step {
  dialog?: number;
}

/** Open a dialogue; `closed` is called once it is gone, however it was closed. */
export function openDialog(dialog: HTMLDialogElement, closed: () => void = () => undefined): void {
  const mine = Date.now() + Math.random(); // also after the page was loaded anew
  const isHere = (): boolean => (history.state as Step | null)?.dialog === mine;
  const leave = (): void => {
    if (isHere()) return;
    window.removeEventListener("popstate", leave);
    dialog.close();
    dialog.remove();
    closed();
  };
  window.addEventListener("popstate", leave);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    closeDialog(dialog);
  });
  dialog.addEventListener("close", () => {
    if (isHere()) history.back(); // closed by the browser itself
  });
  history.pushState({ ...(history.state as object | null), dialog: mine } satisfies Step, "");
  document.body.append(dialog);
  dialog.showModal();
}

/** Close a dialogue that was opened here; it is gone once the history has gone back. */
export function closeDialog(dialog: HTMLDialogElement): void {
  if (dialog.open) history.back();
}
