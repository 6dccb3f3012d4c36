/** A photo on its way to the server: turned, cut to its box, made smaller, and bare of everything but its pixels. */

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
} // shares of the turned photo, 0 to 1

export const WHOLE: Box = { left: 0, top: 0, width: 1, height: 1 };
const LONGEST = 1600; // pixels of the longer side that is sent: the models look at far fewer
const QUALITY = 0.9;

/** Decode a file upright; null where this browser cannot (HEIC in most), and the server has to. */
export async function decode(file: Blob): Promise<ImageBitmap | null> {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
}

/** Draw a photo with quarter turns and a box, its longer side at most `longest` pixels. */
export function draw(photo: ImageBitmap, turns: number, box: Box, longest = LONGEST): HTMLCanvasElement {
  const across = turns % 2 === 1;
  const full = { width: across ? photo.height : photo.width, height: across ? photo.width : photo.height };
  const cut = { width: box.width * full.width, height: box.height * full.height };
  const scale = Math.min(1, longest / Math.max(cut.width, cut.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(cut.width * scale));
  canvas.height = Math.max(1, Math.round(cut.height * scale));
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no canvas");
  context.imageSmoothingQuality = "high";
  context.scale(scale, scale);
  context.translate(-box.left * full.width, -box.top * full.height);
  context.translate(full.width / 2, full.height / 2);
  context.rotate((turns * Math.PI) / 2);
  context.drawImage(photo, -photo.width / 2, -photo.height / 2);
  return canvas;
}

/** The canvas as a JPEG. */
export async function toJpeg(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no JPEG"))), "image/jpeg", QUALITY);
  });
}

const SIGNATURES: [string, number, number[]][] = [
  ["JPEG", 0, [0xff, 0xd8, 0xff]],
  ["PNG", 0, [0x89, 0x50, 0x4e, 0x47]],
  ["WebP", 8, [0x57, 0x45, 0x42, 0x50]],
  ["HEIC", 4, [0x66, 0x74, 0x79, 0x70]],
];

/** Whether the first bytes are those of a photo that the server takes. */
export async function isPhoto(file: Blob): Promise<boolean> {
  const bytes = new Uint8Array(await file.slice(0, 16).arrayBuffer());
  return SIGNATURES.some(([, at, sign]) => sign.every((byte, place) => bytes[at + place] === byte));
}
