// The requests and responses as shown to an observer: names, and the few values that are not secret. Loaded only if an
// observer is set.

const PLAIN = new Set([
  'active',
  'client_id',
  'code_challenge_method',
  'error',
  'error_description',
  'expires_in',
  'grant_type',
  'iss',
  'issuer',
  'redirect_uri',
  'response_type',
  'scope',
  'token_type',
  'token_type_hint',
])

/** A request, as an observer may see it. */
export function shownRequest(method, url, headers, body) {
  const form = headers.some(([name, value]) => name === 'content-type' && value.includes('form'))
  const parametersShown = form ? parameters(new URLSearchParams(new TextDecoder().decode(body))) : {}
  return { kind: 'request', method, url: withoutQuery(url), parameters: parametersShown }
}

/** A reply, as an observer may see it. */
export function shownReply({ status, body }) {
  if (body === undefined) return { kind: 'response', status, bytes: undefined, members: {} }
  let members = {}
  try {
    const json = JSON.parse(new TextDecoder().decode(body))
    if (json && typeof json === 'object') members = visibleEntries(Object.entries(json))
  } catch {
    // Not JSON, which the exchange reports.
  }
  return { kind: 'response', status, bytes: body.length, members }
}

/** A URL without its query, and the query's parameters. */
export const shownPage = (kind, url) => ({
  kind,
  url: withoutQuery(url),
  parameters: parameters(new URL(url).searchParams),
})

const withoutQuery = (url) => url.split(/[?#]/)[0]
const parameters = (query) => visibleEntries([...query])
const visibleEntries = (entries) =>
  Object.fromEntries(entries.map(([name, value]) => [name, visible(name, value)]))
const visible = (name, value) =>
  PLAIN.has(name) && typeof value !== 'object' ? String(value).slice(0, 120) : '[redacted]'
