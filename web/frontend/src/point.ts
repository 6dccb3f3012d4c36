/** A place on a map: the spot of an observation, or the grid cell that stands for it. */
export interface Point {
  latitude: number;
  longitude: number;
  metres: number; // by which the place may be wrong
  cell: boolean; // a grid cell in place of the spot
  title: string;
  url: string;
}
