/** Names that a press of a button puts into a field. */
import { make } from "./dom.ts";

/** Let the buttons of a page that name a taxon fill a field. */
export function offerNames(field: HTMLInputElement, root: ParentNode = document): void {
  for (const offer of root.querySelectorAll<HTMLButtonElement>("button.name-offer")) {
    offer.hidden = false;
    offer.addEventListener("click", () => {
      field.value = offer.dataset["name"] ?? "";
      field.focus();
    });
  }
}

/** A button for a name. */
export function nameOffer(name: string): HTMLButtonElement {
  return make("button", { type: "button", class: "name-offer", "data-name": name, hidden: true }, make("i", {}, name));
}
