// Workloads that their X.509-SVIDs authenticate over mutual TLS (OAuth SPIFFE Client Authentication).
import assert from 'node:assert/strict'
import { get } from 'node:https'
import { test } from 'node:test'
import { core, spiffeTls } from './helper.mjs'

const { Client, Network, discover } = core
const { base, ca, spiffe_id: clientId, svid, other_svid: otherSvid } = await spiffeTls()

async function client(certificate, trust = { onlyCa: ca }) {
  const shown = certificate === undefined ? {} : { clientCertificate: certificate, clientKey: certificate }
  const found = await discover(base, { network: new Network({ onlyCa: ca }) })
  const options = { clientId, clientAuth: 'spiffe_x509', tlsClientCertificateBoundAccessTokens: true }
  return new Client(found, { ...options, network: new Network({ ...shown, ...trust }) })
}

const token = async (...args) => (await client(...args)).clientCredentials().token()

/** The requests that the server received. Not with `fetch`, which cannot use a custom certificate authority. */
function log() {
  return new Promise((done, fail) => {
    get(`${base}/_twin/log`, { ca, agent: false }, (reply) => {
      let text = ''
      reply.on('data', (part) => (text += part)).on('end', () => done(JSON.parse(text)))
    }).on('error', fail)
  })
}

test('an X.509-SVID authenticates over mutual TLS', async () => {
  assert.equal((await token(svid)).clientId, clientId)
  const requests = (await log()).filter(({ path }) => path === '/token')
  // The certificate is the whole of the authentication.
  assert.deepEqual(requests.at(-1).form, [['grant_type', 'client_credentials'], ['client_id', clientId]])
})

test('a request with another or no X.509-SVID is rejected', async () => {
  await assert.rejects(token(otherSvid), { code: 'denied.invalid_client' })
  await assert.rejects(token(undefined), { kind: 'lost' })
})

test('the SVID authority is not trusted for server certificates', async () => {
  await assert.rejects(token(svid, {}), { kind: 'lost' })
})
