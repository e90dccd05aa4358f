/* wingspan.h - everything a program that links libwingspan needs. */
#ifndef WINGSPAN_H
#define WINGSPAN_H

#include "wingspan/core/alloc.h"
#include "wingspan/core/comm.h"
#include "wingspan/core/err.h"
#include "wingspan/core/options.h"
#include "wingspan/io/checkpoint.h"
#include "wingspan/io/dataset.h"
#include "wingspan/train/train.h"

#endif
