// The same page with oauth4webapi: the pieces are the library's, what joins them is written here.
import * as oauth from 'oauth4webapi'

const issuer = new URL('https://as.example')
const client = { client_id: 'app' }
const auth = oauth.None()
const redirectUri = 'https://app.example/callback'

const discovered = await oauth.discoveryRequest(issuer)
const server = await oauth.processDiscoveryResponse(issuer, discovered)
const storedFlow = JSON.parse(sessionStorage.getItem('flow'))
if (storedFlow && location.search) {
  sessionStorage.removeItem('flow')
  const parameters = oauth.validateAuthResponse(server, client, new URL(location.href), storedFlow.state)
  history.replaceState(null, '', redirectUri)
  const tokenResponse = await oauth.authorizationCodeGrantRequest(server, client, auth, parameters, redirectUri, storedFlow.verifier)
  let tokens = await oauth.processAuthorizationCodeResponse(server, client, tokenResponse, { expectedNonce: storedFlow.nonce })
  let end = Date.now() + tokens.expires_in * 1000
  const call = async (url) => {
    if (Date.now() > end - 30_000) {
      const renewed = await oauth.refreshTokenGrantRequest(server, client, auth, tokens.refresh_token)
      tokens = { ...tokens, ...(await oauth.processRefreshTokenResponse(server, client, renewed)) }
      end = Date.now() + tokens.expires_in * 1000
    }
    return oauth.protectedResourceRequest(tokens.access_token, 'GET', new URL(url))
  }
  const reply = await call('https://api.example/me')
  document.body.textContent = await reply.text()
} else {
  document.querySelector('button').onclick = async () => {
    const flow = {
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
      verifier: oauth.generateRandomCodeVerifier(),
    }
    sessionStorage.setItem('flow', JSON.stringify(flow))
    const url = new URL(server.authorization_endpoint)
    url.search = new URLSearchParams({
      client_id: client.client_id,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: 'openid offline_access',
      state: flow.state,
      nonce: flow.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(flow.verifier),
      code_challenge_method: 'S256',
    })
    location.assign(url)
  }
}
