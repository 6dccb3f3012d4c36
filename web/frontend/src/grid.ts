/** A justified grid: rows as wide as the page, every photo at its own shape, and nothing that was laid ever moves. */

const HEIGHT = 180; // pixels of a row's photos, at most
const GAP = 12; // pixels between photos, as in the stylesheet

interface Row {
  items: HTMLElement[];
  height: number; // pixels, of the photos
}

/** How wide a photo is by its height; bounded, so that a panorama leaves room for others. */
function ratio(item: HTMLElement): number {
  return Math.min(3, Math.max(0.4, Number(item.dataset["ratio"]) || 1.33));
}

/** Fill rows one after another; the last one is as high as a full one may be, for it may not be full. */
export function fillRows(items: readonly HTMLElement[], width: number): Row[] {
  const rows: Row[] = [];
  let row: HTMLElement[] = [];
  let across = 0;
  for (const item of items) {
    row.push(item);
    across += ratio(item);
    const room = width - GAP * (row.length - 1);
    if (across * HEIGHT >= room) {
      rows.push({ items: row, height: room / across });
      row = [];
      across = 0;
    }
  }
  if (row.length) rows.push({ items: row, height: HEIGHT });
  return rows;
}

/**
 * Lays photos into rows, and those that come later below them. Each gets its exact size before its picture has come: one
 * that scrolls into sight then concerns nothing but itself. A row that is not full waits, unseen, for what comes next.
 */
export class Grid {
  private width = 0;
  private open: HTMLElement[] = []; // of the last row, which is not full

  constructor(private readonly list: HTMLElement) {
    list.classList.add("justified");
    new ResizeObserver(() => {
      if (list.clientWidth !== this.width) this.layAnew();
    }).observe(list);
  }

  /** Lay all photos, after others took the place of those that were there, or at another width. */
  layAnew(): void {
    this.width = this.list.clientWidth;
    this.lay([...this.list.querySelectorAll<HTMLElement>(".shot")]);
  }

  /** Lay what was added at the end. */
  layMore(): void {
    this.lay([...this.open, ...this.list.querySelectorAll<HTMLElement>(".shot:not(.placed)")]);
  }

  private lay(items: readonly HTMLElement[]): void {
    const rows = fillRows(items, this.width);
    const last = rows.at(-1);
    const full = last !== undefined && last.height < HEIGHT;
    const more = this.list.querySelector(".shot-more") !== null;
    this.open = last && !full ? last.items : [];
    for (const row of rows) {
      for (const item of row.items) {
        item.style.width = `${Math.floor(100 * ratio(item) * row.height) / 100}px`; // never wider together than the row
        item.style.setProperty("--height", `${row.height.toFixed(2)}px`);
        item.hidden = more && row === last && !full;
        item.classList.add("placed");
      }
    }
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
