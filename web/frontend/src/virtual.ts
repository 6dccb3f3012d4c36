/** A list of any length of which only what is in sight is in the page. */
import { make } from "./dom.ts";

const HEIGHT = 56; // pixels of a row, as in the stylesheet
const AROUND = 8; // rows kept above and below

export class VirtualList<T> {
  private rows: readonly T[] = [];
  private readonly space = make("div", { class: "virtual-space" });
  private first = -1;
  private last = -1;

  constructor(
    private readonly box: HTMLElement,
    private readonly draw: (row: T) => HTMLElement,
  ) {
    box.append(this.space);
    box.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => this.paint()).observe(box);
  }

  /** Show other rows, from the top. */
  show(rows: readonly T[]): void {
    this.rows = rows;
    this.first = this.last = -1;
    this.space.style.height = `${rows.length * HEIGHT}px`;
    this.box.scrollTop = 0;
    this.paint();
  }

  private paint(): void {
    const first = Math.max(0, Math.floor(this.box.scrollTop / HEIGHT) - AROUND);
    const last = Math.min(this.rows.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / HEIGHT) + AROUND);
    if (first === this.first && last === this.last) return;
    this.first = first;
    this.last = last;
    this.space.replaceChildren(
      ...this.rows.slice(first, last).map((row, place) => {
        const drawn = this.draw(row);
        drawn.style.top = `${(first + place) * HEIGHT}px`;
        drawn.setAttribute("aria-setsize", String(this.rows.length));
        drawn.setAttribute("aria-posinset", String(first + place + 1));
        return drawn;
      }),
    );
  }
}
