/** JSON Patch (RFC 6902) between two versions of an object. */
import jsonPatch from 'fast-json-patch';
import type { JsonObject } from './admission-review.ts';

/** The operations that turn `before` into `after`; none when they are equal. */
export function diff(before: JsonObject, after: JsonObject): readonly object[] {
  return jsonPatch.compare(before, after);
}
