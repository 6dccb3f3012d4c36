/** A photo that is tapped is shown large: a reference photo beside the observation's first. */
import type { Shown } from "./compare.ts";

const caption = (link: HTMLAnchorElement): string => {
  const words = [...(link.closest("figure")?.querySelectorAll(".author, .licence") ?? [])].map((part) => part.textContent?.trim());
  return [link.dataset["name"] ?? link.querySelector("img")?.alt, ...words].filter(Boolean).join(" · ");
};

/** What a link to a photo shows. */
export function shownBy(link: HTMLAnchorElement): Shown[] {
  const photo = { src: link.href, caption: caption(link) };
  const own = document.querySelector<HTMLAnchorElement>("#photos a.zoomable");
  return link.closest("#photos") || !own ? [photo] : [{ src: own.href, caption: caption(own) }, photo];
}

/** Open photos here rather than lead away to them. */
export function enlargeOnClick(open: (photos: readonly Shown[]) => void): void {
  document.addEventListener("click", (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>("a.zoomable");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(shownBy(link));
  });
}
