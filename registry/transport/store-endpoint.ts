/** The store as a registry to talk to: Larder's own, or another one in its place. */
import { StoreAuthenticator, type StoreTokens } from './auth/store-login.ts';
import { storePlace, type StorePlace } from './settings/store-place.ts';
import { settingsFor, type UpstreamSettingsSource } from './settings/upstream-settings.ts';

export interface StoreEndpointOptions {
  /** Perhaps with a path, see `storePlace`. */
  readonly url: URL;
  /** Folder with the login; undefined when the store asks for none. */
  readonly login: string | undefined;
  /** Names the hosts of another registry's token server. */
  readonly upstreamSettings: UpstreamSettingsSource;
  readonly tokenServer: StoreTokens['server'];
}

export interface StoreEndpoint extends StorePlace {
  readonly authenticator: StoreAuthenticator;
}

/** Where the store is, and the login to it. @throws RegistryError with reason `Invalid`, as `storePlace` */
export function storeEndpoint(options: StoreEndpointOptions): StoreEndpoint {
  const { login, upstreamSettings, tokenServer } = options;
  const place = storePlace(options.url);
  const { host, origin } = place.url;
  const { tokenHosts = [] } = settingsFor(upstreamSettings.get(), host) ?? {};
  const tokens = { endpoint: { origin, tokenHosts }, server: tokenServer };
  return { ...place, authenticator: new StoreAuthenticator(login, tokens) };
}
