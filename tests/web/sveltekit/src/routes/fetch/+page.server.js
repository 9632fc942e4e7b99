export const load = async ({ locals }) => ({ status: (await locals.user.fetch(process.env.HELLO_API)).status })
