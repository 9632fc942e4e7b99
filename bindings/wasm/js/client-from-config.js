// Creates the server and the client of a configuration. The names of its settings are checked in setting-names.js.

import { setupError } from './errors.js'
import { providers } from './providers.js'
import { run } from './driver.js'
import { ready } from './wasm.js'

/**
 * The module, server and client of a configuration, its name, and the signer of its DPoP key. A client secret is
 * refused.
 */
export async function prepare(config, stored, options) {
  const checked = import('./setting-names.js').then(({ check }) => check(config, options))
  const [wasm] = await Promise.all([ready(config.wasm), checked])
  const preset = await loadPreset(config.provider)
  // Before any request is sent.
  if (config.clientSecret !== undefined) {
    if (preset) wasm.checkSecretInBrowser(preset)
    throw wasm.secretError()
  }
  const server = await createServer(wasm, config, preset, stored)
  const { clientId, redirectUri, resource, audience, tokenExtra } = config
  const requested = [undefined, resource, audience, tokenExtra]
  const { dpop } = config
  const name = sharedName(server, config)
  const key = dpop && (await (await import('./dpop.js')).loadDpop(dpop, name))
  const client = new wasm.Client(server, clientId, redirectUri, requested, config.profile, key?.jwk)
  return { wasm, server, client, name, config: { ...config, sign: key?.sign } }
}

/** The parameters of token requests, which each renewal repeats. */
function tokenRequestParameters({ resource = [], audience = [], tokenExtra = {} }) {
  const pairs = Object.entries(tokenExtra).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((item) => [name, String(item)]),
  )
  return { resource: [...resource], audience: [...audience], tokenExtra: pairs }
}

async function loadPreset(provider) {
  if (provider === undefined) return undefined
  if (!providers.includes(provider)) throw setupError(`there is no provider of the name ${provider}`, 'provider.unknown')
  const { presets } = await import('./presets.js')
  return JSON.stringify(presets[provider])
}

async function createServer(wasm, config, preset, stored) {
  const { issuer, metadata, loopback = false } = config
  if (preset) {
    const variables = Object.entries(config.variables ?? {}).flat()
    return wasm.Server.fromPreset(preset, variables, config.options ?? [], loopback || undefined)
  }
  if (typeof issuer !== 'string') throw setupError('provider or issuer is missing', 'arguments.inconsistent')
  if (metadata !== undefined) {
    return wasm.Server.fromMetadata(issuer, JSON.stringify(metadata), Boolean(loopback))
  }
  if (stored) {
    const server = wasm.Server.fromJson(stored)
    if (server.issuer === issuer) return server
  }
  return (await run(wasm.Server.discover(issuer, Boolean(loopback)), config)).server()
}

/** The origins that tokens may be sent to. */
export function origins(config, server) {
  const configured = config.api ?? server.apiOrigins()
  return configured.length > 0 ? configured : [location.origin]
}

/** The name that tabs share if their tokens have the same client, resources and audiences. */
export function sharedName(server, config) {
  const requested = Object.values(tokenRequestParameters(config))
  const more = requested.some((names) => names.length > 0) ? ` ${JSON.stringify(requested.map((names) => names.sort()))}` : ''
  return `oauth-core ${server.issuer} ${config.clientId}${more}`
}
