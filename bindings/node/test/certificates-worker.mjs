// One of several workers that share a grant, with its own certificate: calls the API when its parent sends a message.
import { Client, FileStore, Network, discover } from 'oauth-core'

const { base, mutual, ca, clientId, certificate, folder } = JSON.parse(process.argv[2])
const network = new Network({ onlyCa: ca, clientCertificate: certificate, clientKey: certificate })
const client = new Client(await discover(base, { network }), {
  clientId,
  clientAuth: 'tls_client_auth',
  tlsClientCertificateBoundAccessTokens: true,
  idTokenSignedResponseAlg: 'PS256',
  network,
})
const source = client.source(undefined, { store: new FileStore(folder), subject: 'carol', origins: [mutual] })

process.on('message', async () => {
  const { status } = await source.fetch(`${mutual}/api/echo`)
  process.send({ status })
})
process.send({ ready: true })
