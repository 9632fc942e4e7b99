import { site } from '../site.server'

export const loader = async ({ request }) => (await site.required(request, { acr: ['mfa'] })).acr

export default function Pay({ loaderData }) {
  return <p>{`paid by ${loaderData}`}</p>
}
