/** When and where a photo says that it was taken; read here, in the browser, and sent nowhere unless the person agrees. */
import ExifReader from "exifreader";

export interface Taken {
  day: string; // YYYY-MM-DD; empty where unknown
  latitude: number | null;
  longitude: number | null;
}

/** Read a photo's metadata; what cannot be read is not known. */
export async function readTaken(file: File): Promise<Taken> {
  try {
    const tags = await ExifReader.load(file, { expanded: true });
    const written = tags.exif?.DateTimeOriginal?.description ?? "";
    const day = /^(\d{4}):(\d\d):(\d\d)/.exec(written)?.slice(1).join("-") ?? "";
    const { Latitude: latitude, Longitude: longitude } = tags.gps ?? {};
    const placed = Number.isFinite(latitude) && Number.isFinite(longitude) && (latitude !== 0 || longitude !== 0);
    return { day, latitude: placed ? Number(latitude) : null, longitude: placed ? Number(longitude) : null };
  } catch {
    return { day: "", latitude: null, longitude: null };
  }
}
