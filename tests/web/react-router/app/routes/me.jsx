import { site } from '../site.server'

export const loader = async ({ request }) => (await site.required(request)).subject

export default function Me({ loaderData }) {
  return <p>{loaderData}</p>
}
