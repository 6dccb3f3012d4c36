"""From bytes to upright sRGB views: decoding, EXIF, crops, tiles, and fetching photos safely."""
