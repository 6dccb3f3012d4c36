/** A question with a few answers. */
import { closeDialog, openDialog } from "./dialog.ts";
import { button, make } from "./dom.ts";

/** Ask; resolves with the key of the answer that was chosen, or with an empty string. */
export function askWhether(title: string, text: string, answers: Record<string, string>): Promise<string> {
  return new Promise((resolve) => {
    let chosen = "";
    const dialog = make("dialog", { class: "question", "aria-labelledby": "question-title" });
    const buttons = Object.entries(answers).map(([key, words], place) =>
      button(words, () => {
        chosen = key;
        closeDialog(dialog);
      }, "", place ? "quiet" : "main"),
    );
    dialog.append(make("h2", { id: "question-title" }, title), make("p", {}, text), make("div", { class: "dialog-buttons" }, ...buttons));
    openDialog(dialog, () => resolve(chosen));
  });
}
