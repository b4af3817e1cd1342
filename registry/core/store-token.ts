/** What the tokens of the store's logins say: who signed them, and for whom. */

export const STORE_TOKEN_ISSUER = 'larder';
/** The store's registries; the supervisor has an audience of its own. */
export const STORE_TOKEN_AUDIENCE = 'larder-store';
