// Users who approve outside a browser of the client: on a page of the server, where they enter a code
// (RFC 8628), or on a device of theirs (CIBA).
import { errors } from 'oidc-provider'

/** The users that can be asked, and their names. */
const person = 'somebody'
const device = 'urn:ietf:params:oauth:grant-type:device_code'
export const ciba = 'urn:openid:params:grant-type:ciba'

// This server registers only https URIs.
const registeredUri = 'https://client.example/notified'

/** Fetches what is meant for that URI from this one, where the client listens. */
export const reaching = (notificationUri, fetch) => (url, options) => fetch(url === registeredUri ? notificationUri : url, options)

/** Clients, in the shape of server.mjs; one that is notified, if somebody listens. */
export function elsewhereClients(notificationUri) {
  const client = (client_id, grant_types, metadata) => ({
    client_id,
    client_secret: 'a client secret: +%/',
    registered: { grant_types: [...grant_types, 'refresh_token'], redirect_uris: [], response_types: [], ...metadata },
  })
  const poll = { backchannel_token_delivery_mode: 'poll' }
  const ping = { backchannel_token_delivery_mode: 'ping', backchannel_client_notification_endpoint: registeredUri }
  return [
    client('device', [device]),
    client('ciba-poll', [ciba], poll),
    ...(notificationUri ? [client('ciba-ping', [ciba], ping)] : []),
  ]
}

/** Requests that wait for the person, in the order they came. */
const waiting = []

export const elsewhereFeatures = {
  // Clients without JavaScript press the buttons.
  deviceFlow: {
    enabled: true,
    userCodeInputSource: (ctx, form, out, error) => { ctx.body = error ? 'no such code' : form },
    userCodeConfirmSource: (ctx, form) => { ctx.body = form },
    successSource: (ctx) => { ctx.body = 'signed in' },
  },
  ciba: {
    enabled: true,
    deliveryModes: ['poll', 'ping'],
    processLoginHint: (ctx, hint) => (hint === person ? person : undefined),
    validateRequestContext: () => {},
    verifyUserCode: () => {},
    triggerAuthenticationDevice: (ctx, request) => { waiting.push(request) },
  },
}

/** `POST /_answer/yes` or `/_answer/no`: the user's decision. Returns the message that their device has shown. */
export function answerElsewhere(provider, request, response) {
  applyVerdict(provider, request.url.split('/').at(-1)).then(
    (message) => response.writeHead(200).end(message),
    (error) => response.writeHead(500).end(String(error)),
  )
}

/** The user decides on the oldest pending request on their device; returns its binding message. */
async function applyVerdict(provider, verdict) {
  const request = waiting.shift()
  if (verdict === 'no') {
    await provider.backchannelResult(request, new errors.AccessDenied('the person said no'))
  } else {
    const grant = new provider.Grant({ accountId: request.accountId, clientId: request.clientId })
    grant.addOIDCScope('openid offline_access read')
    await provider.backchannelResult(request, await grant.save())
  }
  return request.params.binding_message
}
