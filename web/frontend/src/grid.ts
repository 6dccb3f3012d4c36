/** A justified grid: rows of equal height, every photo at its own shape, no photo moved by one that comes later. */

const HEIGHT = 180; // pixels of a row, about

/** Give each new item the width that its shape asks for; rows are filled by what flexbox shares out. */
export function justify(grid: HTMLElement): void {
  grid.classList.add("justified");
  for (const item of grid.querySelectorAll<HTMLElement>(".shot:not(.placed)")) {
    const ratio = Math.min(3, Math.max(0.4, Number(item.dataset["ratio"]) || 1.33));
    item.style.flexGrow = String(ratio);
    item.style.flexBasis = `${Math.round(ratio * HEIGHT)}px`;
    const picture = item.querySelector("img");
    if (picture) picture.style.aspectRatio = String(ratio);
    item.style.containIntrinsicSize = `auto ${Math.round(ratio * HEIGHT)}px auto ${HEIGHT + 72}px`;
    item.classList.add("placed");
  }
}

/** Call when the end of a list comes near; `more` gives whether there may be yet more. */
export function endless(end: Element, more: () => Promise<boolean>): void {
  let busy = false;
  const watcher = new IntersectionObserver(
    (seen) => {
      if (busy || !seen.some((entry) => entry.isIntersecting)) return;
      busy = true;
      void more().then((again) => {
        busy = false;
        watcher.disconnect();
        if (again) watcher.observe(end); // observed anew, it reports at once if it is still in sight
      });
    },
    { rootMargin: "1200px" },
  );
  watcher.observe(end);
}
