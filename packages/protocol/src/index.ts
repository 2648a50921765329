export * from './api.ts';
export * from './custody-api.ts';
export * from './formats.ts';
export * from './problem.ts';
