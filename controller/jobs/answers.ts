/** What verifications and removals answer. */
import type { VerifyAnswer } from '../../api/copier-api.ts';

/** What the store said when it was asked for the content for these platforms. */
export type Verification = VerifyAnswer & { readonly requested: readonly string[] };

/** Of the digest that the tag named before, or of the whole image when there is none. */
export interface RemovalAnswer {
  readonly previous?: string;
  /** Somebody used it after all, so that nothing was removed. */
  readonly inUse: boolean;
}
