/** Image references as pods write them, normalised as every container runtime normalises them. */
import { type Digest, InvalidDigest, parseDigest } from './digest.ts';
import { RegistryError } from './errors.ts';
import { formatHost, looksLikeHost, parseHost } from './host.ts';

/** A normalised reference. It has a tag or a digest, or both. */
export interface Reference {
  /** Host with its port if one was given, for example `docker.io`, `reg.example.com:5000`, `[::1]:5000`. */
  readonly host: string;
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

/** Its message is one sentence that says what is wrong with the reference. */
export class InvalidReference extends RegistryError {
  override readonly name = 'InvalidReference';
  constructor(message: string) {
    super(message, { reason: 'Invalid', code: 'NAME_INVALID' });
  }
}

export const DOCKER_HUB = 'docker.io';

/** The longest repository name that registries and runtimes accept, in characters. */
export const MAX_REPOSITORY_LENGTH = 255;

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const MAX_REFERENCE_LENGTH = 1024;

/**
 * `nginx` becomes `docker.io/library/nginx:latest`; a tag is kept when a digest is given too.
 * @throws InvalidReference
 */
export function parseReference(text: string): Reference {
  if (text === '') throw new InvalidReference('an image reference must not be empty');
  if (text.length > MAX_REFERENCE_LENGTH) {
    throw new InvalidReference(
      `an image reference has at most ${MAX_REFERENCE_LENGTH} characters, this one ${text.length}`,
    );
  }
  const [named, digestText] = splitAt(text, text.indexOf('@'));
  const digest = digestText === undefined ? undefined : digestOfReference(digestText);
  const colon = named.lastIndexOf(':');
  const [name, tag] = splitAt(named, colon > named.lastIndexOf('/') ? colon : -1);
  if (tag !== undefined && !isTag(tag)) throw new InvalidReference(`${quote(tag)} is not a valid tag`);
  return reference(parseName(name), tag ?? (digest === undefined ? 'latest' : undefined), digest);
}

/** The full normalised text: the same for every spelling of one reference. */
export function formatReference(value: Reference): string {
  const tag = value.tag === undefined ? '' : `:${value.tag}`;
  const digest = value.digest === undefined ? '' : `@${value.digest}`;
  return `${value.host}/${value.repository}${tag}${digest}`;
}

/** By the OCI distribution specification ("Pulling manifests"), of at most 255 characters. */
export function isRepositoryName(text: string): boolean {
  return text.length <= MAX_REPOSITORY_LENGTH && REPOSITORY.test(text);
}

/** By the OCI distribution specification, of at most 128 characters. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

export interface ImageName {
  readonly host: string;
  readonly repository: string;
}

/**
 * Applies Docker Hub's two special cases and checks the repository's grammar and length.
 * @throws InvalidReference
 */
export function normaliseName(host: string, repository: string): ImageName {
  const hub = host === DOCKER_HUB || host === 'index.docker.io';
  const path = hub && !repository.includes('/') ? `library/${repository}` : repository;
  if (path.length > MAX_REPOSITORY_LENGTH) {
    throw new InvalidReference(
      `a repository name has at most ${MAX_REPOSITORY_LENGTH} characters, this one ${path.length}`,
    );
  }
  if (!isRepositoryName(path)) {
    const hint = /[A-Z]/.test(path) ? ': it must be in lower case' : '';
    throw new InvalidReference(`${quote(repository)} is not a valid repository name${hint}`);
  }
  return { host: hub ? DOCKER_HUB : host, repository: path };
}

export function reference(name: ImageName, tag: string | undefined, digest: Digest | undefined): Reference {
  return Object.freeze({
    host: name.host,
    repository: name.repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  });
}

function parseName(name: string): ImageName {
  const [first, rest] = splitAt(name, name.indexOf('/'));
  if (rest === undefined || !looksLikeHost(first)) {
    refuseMisleadingName(name, first, rest);
    return normaliseName(DOCKER_HUB, name);
  }
  const host = parseHost(first);
  if (host === undefined) throw new InvalidReference(`${quote(first)} is not a valid registry host`);
  return normaliseName(formatHost(host), rest);
}

/**
 * Refuses names that no normalised text can express as runtimes read them, and those that look like an
 * image's id.
 */
function refuseMisleadingName(name: string, first: string, rest: string | undefined): void {
  if (/^[0-9a-f]{64}$/.test(name))
    throw new InvalidReference('64 hex digits are an image id, not a reference');
  if (rest !== undefined && /[A-Z]/.test(first)) {
    throw new InvalidReference(
      `${quote(first)} is neither a lower-case repository nor a host with a dot or a port`,
    );
  }
}

function digestOfReference(text: string): Digest {
  try {
    return parseDigest(text);
  } catch (error) {
    if (error instanceof InvalidDigest) throw new InvalidReference(error.message);
    throw error;
  }
}

function splitAt(text: string, index: number): [string, string | undefined] {
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
