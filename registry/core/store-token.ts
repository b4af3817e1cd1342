/** What the store's tokens say about who signed them and whom they are for (docs/contracts.md). */

export const STORE_TOKEN_ISSUER = 'larder';
/** Of tokens for the store itself. */
export const STORE_TOKEN_AUDIENCE = 'larder-store';
/** Of tokens for the store's supervisor. */
export const STORE_SUPERVISOR_AUDIENCE = 'larder-store-supervisor';
