/** A photo that is tapped is shown large, with author and licence: a reference photo beside the person's own. */
import type { Shown } from "./compare.ts";
import { word } from "./words.ts";

/** The name of what a link shows, with author and licence. */
export function captionOf(link: HTMLAnchorElement): string {
  const credits = link.dataset["credit"] ? [link.dataset["credit"]] : creditsOf(link.closest("figure, .shot"));
  return [link.dataset["name"] ?? link.querySelector("img")?.alt, ...credits].filter(Boolean).join(" · ");
}

function creditsOf(figure: Element | null): (string | undefined)[] {
  return [".author", ".licence"].map((part) => figure?.querySelector(part)?.textContent?.trim());
}

/** What a link to a photo shows: the observation's first photo beside it, where it is none of the observation's. */
export function shownBy(link: HTMLAnchorElement): Shown[] {
  const photo = { src: link.href, caption: captionOf(link) };
  const own = document.querySelector<HTMLAnchorElement>("#photos a.zoomable");
  return link.closest("#photos") || !own ? [photo] : [{ src: own.href, caption: captionOf(own) }, photo];
}

/** What a link of an answer shows: the person's photo that it is like, and the reference. */
export function shownInAnswer(link: HTMLAnchorElement, mine: (place: number) => string): Shown[] {
  const place = Number(link.dataset["compare"]);
  const figure = link.closest("figure, .shot");
  const pictured = link.dataset["with"] ? figure?.nextElementSibling : figure;
  const caption = [link.dataset["name"], ...creditsOf(pictured ?? null)].filter(Boolean).join(" · ");
  return [
    { src: mine(place), caption: word("photoNumber", { number: place + 1 }) },
    { src: link.dataset["with"] ?? link.href, caption },
  ];
}

/** Open photos here rather than lead away to them; those before and after are a swipe away. */
export function enlargeOnClick(
  open: (pages: readonly (readonly Shown[])[], at: number) => void,
  shows: (link: HTMLAnchorElement) => readonly Shown[] = shownBy,
  root: Document | HTMLElement = document,
): void {
  root.addEventListener("click", (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>("a.zoomable");
    const { ctrlKey, metaKey, shiftKey } = event as MouseEvent;
    if (!link || ctrlKey || metaKey || shiftKey) return;
    event.preventDefault();
    const links = [...root.querySelectorAll<HTMLAnchorElement>("a.zoomable")].filter((each) => each === link || each.offsetParent !== null);
    const pages = new Map<string, { shown: readonly Shown[]; links: HTMLAnchorElement[] }>();
    for (const each of links) {
      const shown = shows(each);
      const key = shown.map(({ src }) => src).join(" ");
      pages.set(key, { shown, links: [...(pages.get(key)?.links ?? []), each] });
    }
    const listed = [...pages.values()];
    open(listed.map(({ shown }) => shown), listed.findIndex((page) => page.links.includes(link)));
  });
}
