/** Elements, made and found with their types. */

type Child = Node | string;
type Properties = Record<string, string | number | boolean | EventListener>;

/** Make an element; properties that are functions are listeners, others are attributes. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** The element of an id; it is there, or the page is not ours. */
export function find<T extends HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return element as T;
}

/** A drawn icon by its path. */
export function icon(path: string): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** A button with words, or with an icon and words for those who cannot see it. */
export function button(words: string, listener: EventListener, path = "", kind = "quiet"): HTMLButtonElement {
  const made = make("button", { type: "button", class: kind, click: listener });
  if (path) {
    made.append(icon(path));
    made.setAttribute("aria-label", words);
    made.title = words;
  } else made.textContent = words;
  return made;
}

export const ICONS = {
  rotate: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4",
  box: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9z",
  remove: "M6 6l12 12M18 6 6 18",
  camera: "M4 8h3.5L9 5.5h6L16.5 8H20v11H4zM12 9.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 1 0 0-7",
};

/** Open the closed section that holds a field which a form complains of: nobody sees it otherwise. */
export function openForInvalid(form: HTMLFormElement): void {
  form.addEventListener("invalid", (event) => {
    const section = (event.target as Element).closest("details");
    if (section) section.open = true;
  }, true);
}

/** Empty a field of files that were taken; files that somebody chose meanwhile stay. */
export function emptyField(field: HTMLInputElement, taken: readonly File[]): void {
  if ([...(field.files ?? [])].every((file) => taken.includes(file))) field.value = "";
}
