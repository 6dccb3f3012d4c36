/** "Was this right?": what is said of an answer is sent without leaving it. */
import { explain, send } from "./send.ts";

/** Let the forms of answers in `answer` be sent in place; what went wrong is said in `trouble`. */
export function sendFeedback(answer: HTMLElement, trouble: HTMLElement): void {
  answer.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    if (form.id !== "feedback") return;
    event.preventDefault();
    const said = new FormData(form);
    const pressed = event.submitter as HTMLButtonElement | null;
    if (pressed?.name) said.set(pressed.name, pressed.value);
    trouble.replaceChildren();
    void send(form.action, said, () => {}).then((reply) => {
      if (reply.status !== 200) return explain(trouble, reply);
      form.outerHTML = reply.html;
    });
  });
}
