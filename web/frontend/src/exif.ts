/** When and where a photo says that it was taken; read here, in the browser, and sent nowhere unless the person agrees. */
import ExifReader from "exifreader";

export interface Taken {
  day: string; // YYYY-MM-DD; empty where unknown
  latitude: number | null;
  longitude: number | null;
}

const EARLIEST = "1900-01-01";
const CLOCKS = ["1904-01-01", "1970-01-01", "1980-01-01"]; // where clocks begin that nobody set

/** Read a photo's metadata; what cannot be read or believed is not known, as on the server. */
export async function readTaken(file: File): Promise<Taken> {
  try {
    const tags = await ExifReader.load(file, { expanded: true });
    const written = tags.exif?.DateTimeOriginal?.description ?? "";
    const day = /^(\d{4}):(\d\d):(\d\d)/.exec(written)?.slice(1).join("-") ?? "";
    const { Latitude: latitude, Longitude: longitude } = tags.gps ?? {};
    const placed =
      isLetter(tags.exif?.GPSLatitudeRef?.value, "NS") &&
      isLetter(tags.exif?.GPSLongitudeRef?.value, "EW") &&
      isWithin(latitude, 90) &&
      isWithin(longitude, 180) &&
      (latitude !== 0 || longitude !== 0);
    return {
      day: isBelievable(day) ? day : "",
      latitude: placed ? Number(latitude) : null,
      longitude: placed ? Number(longitude) : null,
    };
  } catch {
    return { day: "", latitude: null, longitude: null };
  }
}

/** Whether a hemisphere is one of two; without it nobody knows on which half of the Earth the place is. */
function isLetter(reference: unknown, letters: string): boolean {
  const text = (Array.isArray(reference) ? reference.join("") : String(reference ?? "")).replace(/[\0 ]/g, "").toUpperCase();
  return text.length === 1 && letters.includes(text);
}

function isWithin(degrees: number | undefined, most: number): boolean {
  return degrees !== undefined && Number.isFinite(degrees) && Math.abs(degrees) <= most;
}

/** Whether a photo can be of this day: it exists, and is neither in the future nor where an unset clock begins. */
function isBelievable(day: string): boolean {
  const moment = Date.parse(`${day}T00:00:00Z`);
  if (Number.isNaN(moment) || new Date(moment).toISOString().slice(0, 10) !== day) return false;
  return day >= EARLIEST && moment <= Date.now() + 14 * 3_600_000 && !CLOCKS.includes(day);
}
