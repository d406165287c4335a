/* The pipeline stage by stage, for the Python binding, tests and study. Unlike
 * lwfc.h, nothing here is promised to stay. */
#ifndef LWFC_CODEC_STAGES_H
#define LWFC_CODEC_STAGES_H

#include "codec/measure.h"
#include "codec/trace.h"
#include "cpu/cpu.h"
#include "kernels/convert.h"
#include "kernels/quantize.h"
#include "lwfc.h"
#include "par/par.h"

#endif
