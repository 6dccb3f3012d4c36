/** A hundred thousand points on a canvas: written as pixels, so that no graphics card is needed. */

export interface View {
  x: number;
  y: number; // the place in the middle
  scale: number; // pixels for one unit of the atlas
}

export class Points {
  private readonly context: CanvasRenderingContext2D;
  private image: ImageData;
  private pixels: Uint32Array;
  view: View = { x: 0, y: 0, scale: 1 };

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly places: Float32Array,
    private colours: Uint32Array, // of each point, as the pixels are written
    private readonly marked: (point: number) => boolean,
  ) {
    const context = canvas.getContext("2d", { alpha: true });
    if (!context) throw new Error("no canvas");
    this.context = context;
    this.image = new ImageData(1, 1);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.resize();
  }

  get count(): number {
    return this.colours.length;
  }

  recolour(colours: Uint32Array): void {
    this.colours = colours;
  }

  /** Fit the canvas to its box; true where that changed anything. */
  resize(): boolean {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (width === this.image.width && height === this.image.height) return false;
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    return true;
  }

  /** Pixels of the canvas for one of the page. */
  get ratio(): number {
    return this.image.width / Math.max(1, this.canvas.clientWidth);
  }

  /** Draw every point; those of colour 0 are left out, marked ones get a rim and lie on top. */
  draw(rim: number): void {
    const { pixels, places, colours } = this;
    const { width, height } = this.image;
    const { x, y, scale } = this.view;
    const size = Math.min(9, Math.max(2, Math.round(this.ratio * ((this.count < 20_000 ? 4 : 1.5) + Math.log2(1 + scale / (0.5 * height))))));
    const half = size >> 1;
    const put = (px: number, py: number, side: number, colour: number): void => {
      const left = Math.max(0, px);
      const right = Math.min(width, px + side);
      for (let row = Math.max(0, py); row < Math.min(height, py + side); row++) pixels.fill(colour, row * width + left, row * width + right);
    };
    pixels.fill(0);
    const later: number[] = [];
    for (let point = 0; point < colours.length; point++) {
      const colour = colours[point] as number;
      if (colour === 0) continue;
      const px = (((places[2 * point] as number) - x) * scale + width / 2 - half) | 0;
      const py = (((places[2 * point + 1] as number) - y) * scale + height / 2 - half) | 0;
      if (px <= -size || py <= -size || px >= width || py >= height) continue;
      if (this.marked(point)) later.push(point);
      else if (size === 2 && px >= 0 && py >= 0 && px < width - 1 && py < height - 1) {
        const at = py * width + px;
        pixels[at] = colour;
        pixels[at + 1] = colour;
        pixels[at + width] = colour;
        pixels[at + width + 1] = colour;
      } else put(px, py, size, colour);
    }
    for (const point of later) {
      const px = (((places[2 * point] as number) - x) * scale + width / 2 - half) | 0;
      const py = (((places[2 * point + 1] as number) - y) * scale + height / 2 - half) | 0;
      put(px - 2, py - 2, size + 4, rim);
      put(px, py, size, colours[point] as number);
    }
    this.context.putImageData(this.image, 0, 0);
  }

  /** Where a point is on the page, from the canvas's corner. */
  where(point: number): [number, number] {
    const { x, y, scale } = this.view;
    return [
      (((this.places[2 * point] as number) - x) * scale + this.image.width / 2) / this.ratio,
      (((this.places[2 * point + 1] as number) - y) * scale + this.image.height / 2) / this.ratio,
    ];
  }

  /** The shown point nearest to a place on the page, within some pixels; -1 where there is none. */
  nearest(left: number, top: number, within = 14): number {
    let best = -1;
    let far = within * within;
    for (let point = 0; point < this.colours.length; point++) {
      if (this.colours[point] === 0) continue;
      const [px, py] = this.where(point);
      const away = (px - left) ** 2 + (py - top) ** 2;
      if (away < far) [best, far] = [point, away];
    }
    return best;
  }

  /** The shown points in sight, as soon as they are no more than `most`; where there are more, the first `few`. */
  inSight(most: number, few = 0): number[] {
    const found: number[] = [];
    for (let point = 0; point < this.colours.length; point++) {
      if (this.colours[point] === 0) continue;
      const [px, py] = this.where(point);
      if (px < 0 || py < 0 || px > this.canvas.clientWidth || py > this.canvas.clientHeight) continue;
      found.push(point);
      if (found.length > most) return found.slice(0, few);
    }
    return found;
  }
}
